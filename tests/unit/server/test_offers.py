"""Which stream gets which task: rooms, moves, and streams that take nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from embedded_server import offers
from embedded_server.address import Poll
from embedded_server.offers import NAMED_WINDOW, PATIENCE, SOON, WINDOW, Offers
from embedded_server.streams import Streams

ANY = Poll("any", "g", None)
AGAIN = 5.0


class Stream:
    """Keeps what it is sent; `reads` False: it takes no more."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.reads = True
        self.got: list[str] = []

    def event(self, data: str) -> bool:
        if self.reads:
            self.got.append(json.loads(data))
        return self.reads


class World:
    """Offers with a clock and a timer that the test sets; `gone` are tasks that have changed in the meantime."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.gone: set[str] = set()
        self._look: tuple[float, Callable[[], None]] | None = None
        self.streams = Streams(100)
        self.offers = Offers(
            self.streams, lambda id, _: id not in self.gone, lambda id, _: json.dumps(id), AGAIN
        )
        monkeypatch.setattr(offers, "monotonic", lambda: self.now)
        monkeypatch.setattr(offers.asyncio, "get_running_loop", lambda: self)

    def call_later(self, delay: float, call: Callable[[], None]) -> Any:
        self._look = (self.now + delay, call)
        return self

    def cancel(self) -> None:
        self._look = None

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self._look is not None and self._look[0] <= until:
            (self.now, call), self._look = self._look, None
            call()
        self.now = until

    def stream(self, id: str, group: str = "g") -> Stream:
        made = Stream(id)
        self.streams.add(group, made)
        self.offers.opened(group, made)
        return made

    def close(self, stream: Stream, group: str = "g") -> None:
        line = self.streams.remove(group, stream)
        assert line is not None
        self.offers.closed(line)

    def offer(self, *ids: str, to: Poll = ANY, version: int = 0) -> None:
        for id in ids:
            self.offers.offer(id, version, to)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def names(count: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def test_a_backlog_leaves_as_it_is_taken_up_and_in_order(world: World) -> None:
    worker = world.stream("w")
    world.offer(*names(1000))
    assert worker.got == names(WINDOW)
    for n, id in enumerate(names(1000)):
        world.offers.taken(id, "w")
        world.offers.left(id)
        assert worker.got == names(min(WINDOW + n + 1, 1000))


def test_what_is_offered_again_meanwhile_is_sent_once(world: World) -> None:
    worker = world.stream("w")
    world.offer(*names(100))
    world.offer(*names(100))
    world.pass_time(AGAIN - 1)
    assert worker.got == names(WINDOW)
    # WHEN the worker has had them for a long time, they are sent again.
    world.pass_time(1 + SOON)
    assert worker.got == names(WINDOW) * 2


def test_offers_wait_for_a_worker(world: World) -> None:
    world.offer("a", "b", "gone")
    world.gone.add("gone")
    assert world.stream("w").got == ["a", "b"]


def test_a_task_that_is_over_is_not_offered(world: World) -> None:
    worker = world.stream("w")
    world.offer(*names(WINDOW + 2))
    world.offers.left(f"t{WINDOW}")
    world.offers.taken("t0", "w")
    assert worker.got[WINDOW:] == [f"t{WINDOW + 1}"]


def test_a_newer_version_takes_the_place_of_the_older(world: World) -> None:
    worker = world.stream("w")
    world.offer("a")
    world.offer("a", version=1)
    assert worker.got == ["a", "a"]


def test_work_goes_to_whoever_has_least(world: World) -> None:
    one, two = world.stream("one"), world.stream("two")
    world.offers.held([("x", "one"), ("y", "one")])
    world.offer("a", "b")
    assert (one.got, two.got) == ([], ["a", "b"])
    world.offer("c", "d")
    assert len(one.got) == len(two.got) - 2 == 1


def test_foreign_streams_are_passed_over_soon(world: World) -> None:
    foreign = [world.stream("x") for _ in range(6)]
    worker = world.stream("w")
    world.offer(*names(14))
    for id in list(worker.got):
        world.offers.taken(id, "w")
    world.pass_time(2 * SOON)
    # THEN everything that was offered to them goes to the worker
    assert sorted(worker.got) == sorted(names(14))
    for id in worker.got:
        world.offers.taken(id, "w")
        world.offers.left(id)
    # AND from then on they see an offer now and then, more and more seldom.
    before = sum(len(stream.got) for stream in foreign)
    for n in range(200):
        world.offer(f"later{n}")
        world.pass_time(1.0)
        world.offers.taken(f"later{n}", "w")
        world.offers.left(f"later{n}")
    assert sum(len(stream.got) for stream in foreign) == before  # an idle worker that is known goes first


def test_a_worker_that_stands_still_loses_its_offers_to_another(world: World) -> None:
    frozen, other = world.stream("frozen"), world.stream("other")
    world.offers.held([("x", "other")])
    world.offer("first")
    world.offers.taken("first", "frozen")
    world.offers.left("first")
    world.offer("a", "b")
    assert frozen.got == ["first", "a", "b"]
    world.pass_time(PATIENCE + SOON)
    assert sorted(other.got) == ["a", "b"]


def test_a_busy_worker_keeps_its_offers_unless_another_has_fewer(world: World) -> None:
    busy = world.stream("busy")
    world.offer(*names(WINDOW + 8))
    for id in names(8):
        world.offers.taken(id, "busy")
    assert len(busy.got) == WINDOW + 8
    # WHEN another one comes, it gets one, and once it has taken that, half of what lies there.
    fresh = world.stream("fresh")
    world.pass_time(2 * SOON)
    assert len(fresh.got) == 1
    world.offers.taken(fresh.got[0], "fresh")
    world.pass_time(2 * SOON)
    assert WINDOW / 3 <= len(fresh.got) <= WINDOW / 2 + 1


def test_the_only_stream_is_never_passed_over(world: World) -> None:
    only = world.stream("only")
    world.offer("a")
    world.pass_time(60)
    world.offer("b")
    assert only.got[-1] == "b"


def test_a_worker_that_is_gone_leaves_its_offers_first_in_line(world: World) -> None:
    gone = world.stream("gone")
    world.offer(*names(WINDOW + 3))
    world.close(gone)
    assert world.stream("next").got == names(WINDOW)


def test_what_is_for_one_worker_is_sent_to_it_alone_whatever_else_it_has(world: World) -> None:
    one, two = world.stream("one"), world.stream("two")
    world.offer(*names(100), to=Poll("uni", "g", "two"))
    world.pass_time(AGAIN - 1)
    assert (one.got, two.got) == ([], names(100))
    world.offer("any")
    assert one.got + two.got[100:] == ["any"]
    assert NAMED_WINDOW > 100


def test_the_worker_that_is_named_goes_first(world: World) -> None:
    world.stream("one")
    two = world.stream("two")
    world.offer("a", "b", "c", to=Poll("any", "g", "two"))
    assert two.got == ["a", "b", "c"]


def test_a_stream_that_does_not_read_is_left_alone_for_a_while(world: World) -> None:
    worker = world.stream("w")
    worker.reads = False
    world.offer("a")
    worker.reads = True
    assert worker.got == []
    world.pass_time(1 + SOON)
    assert worker.got == ["a"]


def test_nothing_is_kept_of_what_is_over(world: World) -> None:
    worker = world.stream("w")
    world.offer(*names(500))
    for id in names(500):
        world.offers.taken(id, "w")
        world.offers.left(id)
    world.offer(*names(5, "x"))
    world.offers.clear()
    world.close(worker)
    kept = {name: value for name, value in vars(world.offers).items() if isinstance(value, dict) and value}
    assert kept == {}
