"""Which acquisitions of a task count as lost, and what happens when too many do."""

from typing import Any

import pytest
from resonate.codec import Codec, NoopEncryptor
from resonate.error import ServerError
from resonate.send import TaskAcquireResult
from resonate.types import PromiseCreateReq, PromiseRecord, PromiseSettleReq, TaskRecord, Value

from durable_lambda.faults import failure_of
from durable_lambda.worker.offers import Offer
from durable_lambda.worker.takings import Ended, SetAside, Takings

TASK = "doc/j"
TRIES = 5
CODEC = Codec(NoopEncryptor())
LOCAL = {"resonate:scope": "local", "resonate:branch": TASK}


class Server:
    """One task and its branch, as the server stores them. `expire` stands for a worker that died."""

    def __init__(self, **tags: str) -> None:
        self.root = PromiseRecord(id=TASK, state="pending", timeout_at=1, tags=tags)
        self.branch: dict[str, PromiseRecord] = {}
        self.state: Any = "pending"
        self.version = 0
        self.resumes = 0
        self.requests: list[str] = []
        self.refuses: set[str] = set()

    def child(self, id: str, state: Any = "pending") -> None:
        """A step, or a try if there is a dot in its id: a try belongs to the step's branch and is not sent to the
        worker.
        """
        self.branch[id] = PromiseRecord(id=id, state=state, timeout_at=1, tags=LOCAL)

    def expire(self) -> None:
        self.state = "pending"

    def resume(self) -> None:
        self.state, self.resumes = "pending", 1

    def notes(self) -> list[str]:
        return [id.removeprefix(f"{TASK}:") for id in self.branch if "l" in id.removeprefix(TASK)]

    # The method that the SDK's sender has.

    async def _send_envelope(self, kind: str, data: Any, **_: Any) -> tuple[int, Any]:
        self._asked(kind)
        record = {"id": TASK, "state": self.state, "version": self.version, "resumes": self.resumes}
        return 200, {"task": record}

    async def task_acquire(self, id: str, version: int, pid: str, ttl: int) -> TaskAcquireResult:
        self._asked("task.acquire")
        if (self.state, self.version) != ("pending", version):
            raise ServerError(409, "Version mismatch")
        self.state, self.version, self.resumes = "acquired", version + 1, 0
        task = TaskRecord(id=TASK, state="acquired", version=self.version)
        own = [record for id, record in self.branch.items() if "." not in id or "durable:note" in record.tags]
        return TaskAcquireResult(task=task, promise=self.root, preload=own)

    async def task_fulfill(self, id: str, version: int, action: PromiseSettleReq) -> PromiseRecord:
        self._asked("task.fulfill")
        self.state = "fulfilled"
        value = Value(data=CODEC.decode(action.value))
        self.root = PromiseRecord(id=TASK, state=action.state, value=value, timeout_at=1)
        return self.root

    async def task_suspend(self, id: str, version: int, actions: Any) -> Any:
        self._asked("task.suspend")
        self.state = "suspended"
        return "suspended"

    async def task_release(self, id: str, version: int) -> None:
        self._asked("task.release")
        if (self.state, self.version) != ("acquired", version):
            raise ServerError(409, "Task version mismatch or invalid state")
        self.state = "pending"

    async def promise_get(self, id: str) -> PromiseRecord:
        self._asked("promise.get")
        if id not in self.branch:
            raise ServerError(404, "Promise not found")
        return self.branch[id]

    async def promise_create(self, request: PromiseCreateReq) -> PromiseRecord:
        self._asked("promise.create")
        assert request.tags["resonate:branch"] == TASK
        assert "resonate:target" not in request.tags
        record = PromiseRecord(
            id=request.id, state="rejected_timedout", param=request.param, tags=request.tags, timeout_at=1
        )
        return self.branch.setdefault(request.id, record)

    def _asked(self, kind: str) -> None:
        self.requests.append(kind)
        if kind in self.refuses:
            raise ServerError(503, "not now")


class Fleet:
    """Workers, each with its own memory of tasks, and the processes in which suspects run."""

    def __init__(self, server: Server, tries: int = TRIES) -> None:
        self.server = server
        self.tries = tries
        self.aside: list[Offer] = []

    def worker(self) -> Takings:
        worker = self.process()
        worker.set_aside = self.aside.append
        return worker

    def process(self, how: str = "") -> Takings:
        return Takings(self.server, CODEC, self.tries, how)  # type: ignore[arg-type]

    async def take(self, takings: Takings | None = None) -> Takings:
        """Acquire the task: by the given worker, by the process it is reserved for, or by a worker that never had it."""
        takings = takings or self.worker()
        try:
            await takings.task_acquire(TASK, self.server.version, "pid", 1000)
        except SetAside:
            takings = self.process("SIGSEGV")
            await takings.task_acquire(TASK, self.server.version, "pid", 1000)
        return takings

    async def lose(self, times: int) -> None:
        for _ in range(times):
            await self.take()
            self.server.expire()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def fleet(server: Server) -> Fleet:
    return Fleet(server)


async def test_a_first_taking_costs_nothing_more(server: Server, fleet: Fleet) -> None:
    await fleet.take()
    assert server.requests == ["task.acquire"]


async def test_a_wait_is_no_loss_and_costs_the_worker_that_began_it_nothing(
    server: Server, fleet: Fleet
) -> None:
    worker = await fleet.take()
    for _ in range(1000):
        await worker.task_suspend(TASK, server.version, [])
        server.resume()
        await fleet.take(worker)
    assert set(server.requests) == {"task.acquire", "task.suspend"}
    # Another worker asks the server, once each time.
    for _ in range(1000):
        server.state = "suspended"
        server.resume()
        await fleet.take()
    assert set(server.requests) == {"task.acquire", "task.suspend", "task.get"}
    assert server.branch == {}


async def test_a_worker_that_lives_was_not_lost(server: Server, fleet: Fleet) -> None:
    """Its lease expired while it was paused; then it is offered its own task again."""
    worker = await fleet.take()
    for _ in range(TRIES + 1):
        server.expire()
        await fleet.take(worker)
    assert server.branch == {}


async def test_a_task_given_back_is_not_lost_and_does_not_hide_what_was(server: Server, fleet: Fleet) -> None:
    server.child(f"{TASK}:1")
    for _ in range(3 * TRIES):
        worker = await fleet.take()
        await worker.task_release(TASK, server.version)
    assert {note[:4] for note in server.notes()} == {"left"}
    assert fleet.aside == []
    for _ in range(TRIES - 1):
        await fleet.lose(1)
        worker = await fleet.take()
        await worker.task_release(TASK, server.version)
    await fleet.lose(1)
    assert (await fleet.take()).refusal(f"{TASK}:1")


async def test_a_worker_that_finds_out_late_that_its_lease_is_lost_takes_its_loss_back(
    server: Server, fleet: Fleet
) -> None:
    server.child(f"{TASK}:1")
    for _ in range(3 * TRIES):
        late, version = await fleet.take(fleet.process()), server.version
        server.expire()
        next_ = await fleet.take(fleet.process())
        assert next_.refusal(f"{TASK}:1") is None
        with pytest.raises(ServerError):
            await late.task_release(TASK, version)
        await next_.task_release(TASK, server.version)


async def test_from_the_second_loss_on_it_runs_alone(server: Server, fleet: Fleet) -> None:
    await fleet.lose(2)
    assert fleet.aside == []
    await fleet.lose(1)
    assert fleet.aside == [Offer(TASK, 2)]


async def test_the_step_under_way_is_refused_and_named(server: Server, fleet: Fleet) -> None:
    server.child(f"{TASK}:1", "resolved")
    server.child(f"{TASK}:2")
    server.child(f"{TASK}:2.1")
    await fleet.lose(TRIES)
    last = await fleet.take()
    assert last.refusal(f"{TASK}:1") is None
    assert last.refusal(f"{TASK}:3") is None
    said = last.refusal(f"{TASK}:2.1")
    assert said is not None
    assert f"{TRIES} workers in a row" in said
    assert "SIGSEGV" in said
    assert server.state == "acquired"


async def test_a_checkpoint_begins_the_count_anew(server: Server, fleet: Fleet) -> None:
    server.child(f"{TASK}:1")
    await fleet.lose(TRIES - 1)
    # The last of those workers had still made the checkpoint before it was lost.
    server.child(f"{TASK}:1", "resolved")
    server.child(f"{TASK}:2")
    await fleet.lose(TRIES - 2)
    assert (await fleet.take()).refusal(f"{TASK}:2") is None
    server.expire()
    assert (await fleet.take()).refusal(f"{TASK}:2")


async def test_progress_deep_in_a_workflow_within_the_workflow_counts(server: Server, fleet: Fleet) -> None:
    server.child(f"{TASK}:1")
    for number in range(1, 3 * TRIES):
        server.child(f"{TASK}:1.{number}", "resolved")
        server.child(f"{TASK}:1.{number + 1}")
        await fleet.lose(1)
    await fleet.lose(TRIES - 3)
    assert (await fleet.take()).refusal(f"{TASK}:1.{3 * TRIES}") is None
    server.expire()
    last = await fleet.take()
    assert last.refusal(f"{TASK}:1.{3 * TRIES}")
    assert last.refusal(f"{TASK}:1.{3 * TRIES - 1}") is None


async def test_a_wait_begins_the_count_anew(server: Server, fleet: Fleet) -> None:
    """Waiting for something outside the branch leaves no trace in the branch."""
    server.child(f"{TASK}:1")
    for _ in range(3):
        await fleet.lose(TRIES - 2)
        await fleet.take()
        server.state = "suspended"
        server.resume()
    await fleet.lose(TRIES - 1)
    assert (await fleet.take()).refusal(f"{TASK}:1") is None


@pytest.mark.parametrize("under_way", [False, True])
async def test_a_workflow_that_kills_outside_of_its_steps_is_ended_without_being_run(
    server: Server, fleet: Fleet, under_way: bool
) -> None:
    if under_way:  # or dies outside a step, before it reaches one
        server.child(f"{TASK}:1")
    await fleet.lose(TRIES + under_way)
    with pytest.raises(Ended):
        await fleet.take()
    assert server.state == "fulfilled"
    fault = failure_of(server.root.value.data)
    assert (fault.step, fault.code) == ("", "worker_lost")
    assert "outside of its steps" in fault.message


async def test_a_timer_that_is_dropped_until_its_time_is_no_loss(fleet: Fleet) -> None:
    timer = Fleet(Server(**{"resonate:timer": "true"}))
    await timer.lose(3 * TRIES)
    assert timer.server.branch == {}
    assert timer.aside == []


async def test_what_cannot_be_noted_is_not_run(server: Server, fleet: Fleet) -> None:
    """The server fails: the task is given back, and no loss is counted."""
    await fleet.lose(1)
    server.refuses = {"promise.create"}
    with pytest.raises(ServerError):
        await fleet.take()
    assert (server.state, server.notes()) == ("pending", [])


async def test_with_two_tries_the_second_is_alone(server: Server) -> None:
    fleet = Fleet(server, tries=2)
    server.child(f"{TASK}:1")
    await fleet.lose(2)
    assert fleet.aside == [Offer(TASK, 1)]
    assert (await fleet.take()).refusal(f"{TASK}:1")


async def test_memory_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_lambda.worker.takings._MOST_REMEMBERED", 3)
    takings = Fleet(server).worker()
    for number in range(9):
        takings._remember(str(number), 1)
    assert list(takings._taken) == ["6", "7", "8"]
