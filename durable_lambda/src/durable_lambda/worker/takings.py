"""Counts the workers that a task has killed, so that a job that kills its workers is found and ended.

A worker that dies reports nothing. The next one that takes the task sees it in the server's record: the task was neither
suspended (then something that it waited for has ended, which the server counts) nor given back (then a note says so).
It writes a note that the earlier worker was lost: a promise `<task>:lost.<n>` for the n-th taking, created already ended.
The note is in the task's own branch, so that the server hands all notes to whoever takes the task next. The first taking
costs no request, nor does one after a wait that this same worker began. The reasons for this design are in
docs/decisions/0083-a-job-that-kills-its-workers.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from resonate.codec import Codec
from resonate.error import ApplicationError, ResonateError, ServerError
from resonate.ids import join_id, origin_of
from resonate.send import Sender, SuspendResult, TaskAcquireResult
from resonate.types import (
    PromiseCreateReq,
    PromiseRecord,
    PromiseRegisterCallbackData,
    PromiseSettleReq,
    TaskRecord,
)

from durable_lambda.faults import Fault, failure_text
from durable_lambda.ids import job_id_of
from durable_lambda.worker.offers import Offer

logger = logging.getLogger("worker.takings")

#: The tag of a note, and the two kinds: the worker was lost, the worker lived and let go of the task.
_TAG = "durable:note"
_LOST, _LEFT = "lost", "left"
#: A task that was lost this many times in a row runs alone. Not after the first time: if somebody kills a worker, not all
#: of its jobs must run one by one.
_ALONE_FROM = 2
#: How many tasks' last takings are remembered.
_MOST_REMEMBERED = 10_000
_NOT_FOUND = 404
#: How many promises are asked for at the same time.
_AT_ONCE = 4


class SetAside(ResonateError):
    """The task was not taken: it is for a process of its own."""


class Ended(ResonateError):
    """The task was taken and ended as failed, without being run."""


class _Task(msgspec.Struct):
    task: TaskRecord


class Takings:
    """The SDK's calls to the server about tasks (`TaskLifecycle`), plus a count of the takings that were lost.

    `tries` of them in a row, without a checkpoint in between, end the job. `how` says how the last worker ended, where
    that is known.
    """

    def __init__(self, sender: Sender, codec: Codec, tries: int, how: str = "") -> None:
        #: Told of each task that is to run alone; None in the process that runs one.
        self.set_aside: Callable[[Offer], None] | None = None
        self._sender = sender
        self._codec = codec
        self._tries = tries
        self._how = how
        #: By task, the number of the last taking by this process. This process is alive, so that taking was not lost.
        self._taken: OrderedDict[str, int] = OrderedDict()
        #: By promise, why its step is not run again.
        self._refusals: dict[str, str] = {}

    def refusal(self, promise_id: str) -> str | None:
        """Why the step of this promise may not run; None if it may."""
        return self._refusals.get(promise_id)

    async def still_offered(self, offer: Offer) -> bool:
        """Whether nobody has taken the task since."""
        task = await self._task(offer.task_id)
        return task.state == "pending" and task.version == offer.version

    # ------------------------------------------------------------ the SDK's calls

    async def task_acquire(self, id: str, version: int, pid: str, ttl: int) -> TaskAcquireResult:
        """Take a task that was taken `version` times before. Raises :class:`SetAside` or :class:`Ended`."""
        lost = version > 0 and self._taken.get(id) != version and await self._was_lost(id)
        if lost and self.set_aside is not None and await self._runs_alone(id, version):
            self.set_aside(Offer(id, version))
            raise SetAside(f"{id} runs alone")
        taken = await self._sender.task_acquire(id, version, pid, ttl)
        self._remember(id, taken.task.version)
        note = {"job": job_id_of(id), "task": id, "taking": taken.task.version}
        logger.info("task taken up", extra={"event": "task taken up", **note})
        if lost:
            try:
                await self._account(taken, version)
            except Ended:
                raise
            except ResonateError:
                with suppress(ResonateError):
                    await self.task_release(id, taken.task.version)
                raise
        return taken

    async def task_fulfill(self, id: str, version: int, action: PromiseSettleReq) -> PromiseRecord:
        self._taken.pop(id, None)
        return await self._sender.task_fulfill(id, version, action)

    async def task_suspend(
        self, id: str, version: int, actions: list[PromiseRegisterCallbackData]
    ) -> SuspendResult:
        return await self._sender.task_suspend(id, version, actions)

    async def task_release(self, id: str, version: int) -> None:
        """Give the task back, and write a note that this worker let go of it, so that it does not count as lost."""
        with suppress(ResonateError):
            if (await self._task(id)).state != "fulfilled":
                await self._note(id, _LEFT, version)
        await self._sender.task_release(id, version)

    # ------------------------------------------------------------ counting

    async def _was_lost(self, id: str) -> bool:
        """Whether the task is offered although nothing that it waited for has ended."""
        task = await self._task(id)
        return task.state == "pending" and not task.resumes

    async def _runs_alone(self, id: str, version: int) -> bool:
        """Whether enough takings before this one were lost. The last one was: that is known already."""
        if self._tries <= _ALONE_FROM:
            return True
        return version >= _ALONE_FROM and await self._find(_note_id(id, _LOST, version - 1)) is not None

    async def _account(self, taken: TaskAcquireResult, version: int) -> None:
        """Note that the taking before this one was lost. If that was one too many, refuse the step or end the job."""
        id = taken.task.id
        notes = {record.id: record for record in taken.preload if _TAG in record.tags}
        # A timer's task is taken and dropped, again and again, until the timer ends.
        timer = taken.promise.tags.get("resonate:timer") == "true"
        if timer or taken.promise.state != "pending" or _note_id(id, _LEFT, version) in notes:
            return
        settled, under_way = await self._progress([r for r in taken.preload if r.id not in notes])
        await self._note(id, _LOST, version, settled)
        row = 1
        for earlier in range(version - 1, 0, -1):
            if _note_id(id, _LEFT, earlier) in notes:
                continue
            lost = notes.get(_note_id(id, _LOST, earlier))
            if lost is None or self._settled_in(lost) != settled:
                break
            row += 1
        extra = {"event": "worker lost", "job": job_id_of(id), "task": id, "in_a_row": row, "how": self._how}
        logger.warning("the worker that had this task before was lost", extra=extra)
        if row >= self._tries:
            await self._give_up(taken, row, under_way)

    async def _progress(self, records: list[PromiseRecord]) -> tuple[int, list[str]]:
        """How many of these promises and of those below them have ended, and the steps under way among them.

        The server hands over the task's own children; what is below a step that is under way has to be asked for.
        """
        settled = sum(record.state != "pending" for record in records)
        under_way = []
        for record in records:
            if record.state == "pending" and record.tags.get("resonate:scope") == "local":
                below, deeper = await self._progress(await self._children(record.id))
                settled += below
                under_way += [record.id, *deeper]
        return settled, under_way

    async def _children(self, id: str) -> list[PromiseRecord]:
        """The promises right below one: they are numbered from 1, in the order they were made."""
        found: list[PromiseRecord] = []
        while True:
            numbers = range(len(found) + 1, len(found) + 1 + _AT_ONCE)
            batch = await asyncio.gather(*(self._find(join_id(id, str(number))) for number in numbers))
            found += [record for record in batch if record is not None]
            if None in batch:
                return found

    async def _give_up(self, taken: TaskAcquireResult, row: int, under_way: list[str]) -> None:
        """Let the step under way end as failed when the workflow comes to it. If the workflow itself kills its worker,
        there is no such step, or the workflow never comes to it: then end the job without running it.
        """
        last = f"; the last one ended with {self._how}" if self._how else ""
        what = f"{row} workers in a row were lost while {{}} ran{last}. Fix the cause, then retry."
        if under_way and row == self._tries:
            self._refusals |= dict.fromkeys(under_way, what.format("this step"))
            return
        fault = Fault(step="", code="worker_lost", message=what.format("the workflow, outside of its steps,"))
        value = self._codec.encode(ApplicationError(failure_text(fault)))
        id, version = taken.task.id, taken.task.version
        await self.task_fulfill(id, version, PromiseSettleReq(id=id, state="rejected", value=value))
        extra = {"event": "task ended", "job": job_id_of(id), "task": id, "code": fault.code}
        logger.error("a task that kills its workers was ended: %s", fault.message, extra=extra)
        raise Ended(f"{id} was ended")

    # ------------------------------------------------------------ small things

    def _remember(self, id: str, version: int) -> None:
        self._taken[id] = version
        self._taken.move_to_end(id)
        if len(self._taken) > _MOST_REMEMBERED:
            self._taken.popitem(last=False)

    async def _task(self, id: str) -> TaskRecord:
        _, data = await self._sender._send_envelope("task.get", {"id": id}, allow_409=False, routes_by=id)
        return msgspec.convert(data, _Task).task

    async def _find(self, id: str) -> PromiseRecord | None:
        try:
            return await self._sender.promise_get(id)
        except ServerError as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    async def _note(self, id: str, kind: str, version: int, settled: int = 0) -> None:
        """Create a promise that has ended already: nothing waits for it, and the server needs no timer for it."""
        lineage = {"resonate:branch": id, "resonate:parent": id, "resonate:origin": origin_of(id)}
        await self._sender.promise_create(
            PromiseCreateReq(
                id=_note_id(id, kind, version),
                timeout_at=int(time.time() * 1000),
                param=self._codec.encode({"settled": settled}),
                tags={**lineage, _TAG: kind},
            )
        )

    def _settled_in(self, note: PromiseRecord) -> Any:
        with suppress(ResonateError):
            data = self._codec.decode(note.param)
            return data.get("settled") if isinstance(data, dict) else None
        return None


def _note_id(task: str, kind: str, taking: int) -> str:
    return f"{task}:{kind}.{taking}"
