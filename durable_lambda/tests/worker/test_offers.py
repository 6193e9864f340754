"""Which of the offered tasks a worker starts, and when."""

import pytest

from durable_lambda.worker.offers import MOST_WAITING, Offer, Offers

#: After this many seconds the server offers a task again; an offer is valid for slightly less.
AGAIN = 5.0
GONE = AGAIN * 0.9 + 0.1


class Worker:
    """Offers with a clock that the test sets, and the list of tasks that were started."""

    def __init__(self, places: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.begun: list[Offer] = []
        #: Whether the renewal of its leases is late.
        self.behind = False
        self.offers = Offers(places, self.begun.append, seconds=AGAIN, wait=lambda: self.behind)
        monkeypatch.setattr("durable_lambda.worker.offers.time.monotonic", lambda: self.now)

    def offer(self, *names: str, version: int = 1) -> None:
        for name in names:
            self.offers.add(Offer(name, version))

    def end(self, name: str, version: int = 1) -> None:
        self.offers.end(Offer(name, version))

    @property
    def names(self) -> list[str]:
        return [offer.task_id for offer in self.begun]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(2, monkeypatch)


def test_no_more_is_begun_than_there_are_places_and_the_rest_in_turn(worker: Worker) -> None:
    worker.offer("a", "b", "c", "d")
    assert worker.names == ["a", "b"]
    worker.end("b")
    assert worker.names == ["a", "b", "c"]
    worker.end("a")
    worker.end("c")
    worker.end("d")
    assert worker.names == ["a", "b", "c", "d"]


def test_what_is_under_way_is_not_begun_again_and_what_came_to_nothing_is(worker: Worker) -> None:
    worker.offer("a", "a")
    assert worker.names == ["a"]
    worker.end("a")
    worker.offer("a")
    assert worker.names == ["a", "a"]


def test_an_offer_that_waited_too_long_is_left_to_come_again(worker: Worker) -> None:
    worker.offer("a", "b", "old", "again")
    worker.now += 1
    worker.offer("again")
    worker.now = GONE
    worker.end("a")
    assert worker.names == ["a", "b", "again"]
    worker.end("b")
    worker.offer("old")
    assert worker.names == ["a", "b", "again", "old"]


def test_a_later_version_takes_the_place_of_the_earlier(worker: Worker) -> None:
    """The server took the task back from its previous worker, so acquiring the earlier version would fail."""
    worker.offer("a", "b", "c")
    worker.offer("c", version=2)
    worker.end("a")
    assert worker.begun[2:] == [Offer("c", 2)]
    worker.end("b")
    assert len(worker.begun) == 3


def test_what_is_offered_again_meanwhile_as_another_version_is_begun_beside_it(worker: Worker) -> None:
    """The lease was lost; the first run notices that by itself."""
    worker.offer("a")
    worker.offer("a", version=2)
    assert worker.begun == [Offer("a", 1), Offer("a", 2)]


def test_once_closed_nothing_more_is_begun(worker: Worker) -> None:
    worker.offer("a", "b", "waits")
    worker.offers.close()
    worker.end("a")
    worker.offer("new")
    assert worker.names == ["a", "b"]


def test_nothing_is_begun_while_the_leases_are_behind(worker: Worker) -> None:
    worker.offer("a")
    worker.behind = True
    worker.offer("b", "c")
    worker.end("a")
    assert worker.names == ["a"]
    # WHEN a renewal has got through
    worker.behind = False
    worker.offer("d")
    assert worker.names == ["a", "b", "c"]


def test_memory_is_bounded(worker: Worker) -> None:
    worker.offer(*(str(number) for number in range(2 + MOST_WAITING)), "too many")
    for number in range(2 + MOST_WAITING):
        worker.end(str(number))
    assert len(worker.begun) == 2 + MOST_WAITING
    assert "too many" not in worker.names
    # Old offers are dropped to make room.
    worker.begun.clear()
    worker.offer(*(f"x{number}" for number in range(2 + MOST_WAITING)))
    worker.now += GONE
    worker.offer("new")
    worker.end("x0")
    assert worker.names == ["x0", "x1", "new"]
