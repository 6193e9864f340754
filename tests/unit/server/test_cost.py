"""What a job costs the server, counted: statements, SQLite's and Python's instructions, syncs. No clock, so a busy machine
changes nothing. Limits are wide: about a quarter above what was counted when they were set (in brackets).

A job here is what the SDK sends for a workflow of five empty steps: fourteen requests.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from conftest import RETRY, VERSION
from embedded_server import store as store_module
from embedded_server.api import Api
from embedded_server.config import Transports
from embedded_server.delivery import Delivery
from embedded_server.metrics import Metrics
from embedded_server.store import Store
from embedded_server.timers import Timers

STEPS = 5
FAR = 4_000_000_000_000
TARGET = "poll://any@worker"


class Worker:
    """A polling worker, so that offers are sent as in real use."""

    id = "1"

    def event(self, data: str) -> bool:
        return True


class Counted:
    """A server without a network: requests in, answers out, and what they took."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        metrics = Metrics()
        self.store = Store(str(path / "resonate.db"), RETRY)
        timers = Timers(self.store, metrics, 1000)
        delivery = Delivery(self.store, metrics, Transports(), "http://server")
        worker = Worker()
        delivery.opened("worker", worker)
        self.store.published = delivery.publish
        self._api = Api(self.store, timers, delivery, metrics, None, False)
        self.syncs = 0
        sync = store_module.os.fdatasync

        def counted(file: int) -> None:
            self.syncs += 1
            sync(file)

        monkeypatch.setattr(store_module.os, "fdatasync", counted)

    async def ask(self, kind: str, **data: Any) -> Any:
        """The data of an answer that must be 200."""
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        body = {"kind": kind, "head": {"corrId": "c", "version": VERSION}, "data": data}
        self._api.handle(json.dumps(body).encode(), lambda _, said: answered.set_result(said))
        said = json.loads(await answered)
        assert said["head"]["status"] == 200, said
        return said["data"]

    async def job(self, id: str) -> None:
        tags = {"resonate:target": TARGET, "resonate:branch": id}
        await self.ask("promise.create", id=id, timeoutAt=FAR, param={"data": "e30="}, tags=tags)
        await self.ask("promise.register_listener", awaited=id, address="poll://uni@worker/1")
        task = (await self.ask("task.acquire", id=id, version=0, pid="w", ttl=60_000))["task"]

        async def fenced(kind: str, **data: Any) -> None:
            action = {"kind": kind, "head": {}, "data": data}
            await self.ask("task.fence", id=id, version=task["version"], action=action)

        for step in range(1, STEPS + 1):
            child = f"{id}:{step}"
            await fenced("promise.create", id=child, timeoutAt=FAR, tags={"resonate:branch": id})
            await fenced("promise.settle", id=child, state="resolved", value={"data": "MQ=="})
        settle = {"kind": "promise.settle", "head": {}, "data": {"id": id, "state": "resolved"}}
        await self.ask("task.fulfill", id=id, version=task["version"], action=settle)

    async def jobs(self, name: str, count: int) -> None:
        for n in range(count):
            await self.job(f"{name}-{n}")


@pytest_asyncio.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counted]:
    made = Counted(tmp_path, monkeypatch)
    await made.jobs("warm-up", 2)
    yield made
    made.store.close()


@contextmanager
def instructions() -> Iterator[Callable[[], int]]:
    """Counts the instructions Python runs in this thread's code meanwhile."""
    count = 0
    tool, event = sys.monitoring.PROFILER_ID, sys.monitoring.events.INSTRUCTION

    def one(*_: object) -> None:
        nonlocal count
        count += 1

    sys.monitoring.use_tool_id(tool, "cost")
    sys.monitoring.register_callback(tool, event, one)
    sys.monitoring.set_events(tool, event)
    try:
        yield lambda: count
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)


async def test_a_job_takes_few_statements(server: Counted) -> None:
    said: list[str] = []
    server.store.db.set_trace_callback(said.append)
    await server.jobs("job", 10)
    assert len(said) / 10 <= 110, f"{len(said) / 10:.0f} statements a job [87]"


async def test_a_jobs_statements_cost_the_same_beside_many_jobs(server: Counted) -> None:
    steps = 0

    def one() -> int:
        nonlocal steps
        steps += 1
        return 0

    async def cost(name: str) -> int:
        nonlocal steps
        steps = 0
        server.store.db.set_progress_handler(one, 1)
        await server.jobs(name, 10)
        server.store.db.set_progress_handler(None, 1)
        return steps

    few = await cost("few")
    await server.jobs("history", 500)
    many = await cost("many")
    seen = f"{few / 10:.0f} instructions of SQLite a job beside a few jobs [2573], {many / 10:.0f} beside 500"
    assert few / 10 <= 3300, seen
    assert many <= few * 1.1, seen


async def test_a_request_alone_is_synced_once_and_a_reading_one_never(server: Counted) -> None:
    before = server.syncs
    await server.jobs("job", 10)
    # THEN no more than one for each of the job's fourteen requests.
    assert server.syncs - before <= 10 * (2 * STEPS + 4)
    await server.ask("promise.get", id="job-0")  # with it goes the record that a listener was told
    before = server.syncs
    for _ in range(10):
        await server.ask("promise.get", id="job-0")
    assert server.syncs == before


async def test_jobs_at_once_share_their_syncs(server: Counted) -> None:
    before = server.syncs
    await asyncio.gather(*(server.job(f"at-once-{n}") for n in range(64)))
    # 64 jobs side by side, each waiting for fourteen answers: what is synced for one is synced for all.
    assert (server.syncs - before) / 64 <= 1, f"{(server.syncs - before) / 64:.2f} syncs a job [0.22]"


async def test_a_job_takes_few_instructions_of_python(server: Counted) -> None:
    with instructions() as counted:
        await asyncio.gather(*(server.job(f"job-{n}") for n in range(10)))
    assert counted() / 10 <= 31_000, (
        f"{counted() / 10:.0f} instructions of Python a job, its client's with it [24750]"
    )
