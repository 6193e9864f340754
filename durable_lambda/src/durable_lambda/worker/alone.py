"""Suspects: tasks that were running when two workers in a row died. Each runs in a process of its own: if it kills that
process, the worker and its other tasks go on.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from resonate.error import ResonateError

from durable_lambda.ids import job_id_of
from durable_lambda.worker.offers import Offer

logger = logging.getLogger("worker.alone")

#: The most processes at once. Each is a worker with one job: 100 MB, and what the job itself needs.
MOST = 2


def own_command() -> tuple[str, ...]:
    """What started this process: Python and the application's `worker.py`."""
    return sys.executable, str(Path(sys.modules["__main__"].__file__ or "worker.py").resolve())


class Alone:
    """Runs tasks that are set aside, each in a process of its own: `<command> TASK VERSION HOW`.

    `still_offered` says whether nobody has taken a task since. `command` starts the application's worker.
    """

    def __init__(
        self,
        still_offered: Callable[[Offer], Awaitable[bool]],
        command: tuple[str, ...] | None = None,
    ) -> None:
        self._still_offered = still_offered
        self._command = command or own_command()
        self._closed = False
        self._waiting: dict[str, Offer] = {}
        self._running: dict[str, Offer] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._runs: set[asyncio.Task[None]] = set()
        #: By task: how its last process ended, if it did not end well.
        self._ends: dict[str, str] = {}

    def add(self, offer: Offer) -> None:
        """Run the task once there is room. If a task is offered again, its process has lost the lease and is killed."""
        running = self._running.get(offer.task_id)
        if self._closed or (running is not None and running.version >= offer.version):
            return
        self._waiting[offer.task_id] = offer
        if process := self._processes.get(offer.task_id):
            _send(process, signal.SIGKILL)
        self._fill()

    async def stop(self, seconds: float) -> None:
        """Tell every process to give its task back and end."""
        self._closed = True
        self._waiting.clear()
        for process in self._processes.values():
            _send(process, signal.SIGTERM)
        if self._runs:
            await asyncio.wait(self._runs, timeout=seconds)
        for process in self._processes.values():
            _send(process, signal.SIGKILL)

    def _fill(self) -> None:
        for offer in list(self._waiting.values()):
            if len(self._running) >= MOST:
                return
            if offer.task_id not in self._running:
                del self._waiting[offer.task_id]
                self._running[offer.task_id] = offer
                run = asyncio.create_task(self._run(offer))
                self._runs.add(run)
                run.add_done_callback(self._runs.discard)

    async def _run(self, offer: Offer) -> None:
        try:
            # The task may have waited for long: by now another worker may have it, or it may be over.
            with suppress(ResonateError):
                if not self._closed and await self._still_offered(offer):
                    await self._process(offer)
        finally:
            del self._running[offer.task_id]
            self._processes.pop(offer.task_id, None)
            self._fill()

    async def _process(self, offer: Offer) -> None:
        job = {"job": job_id_of(offer.task_id), "task": offer.task_id}
        how = self._ends.pop(offer.task_id, "")
        process = await asyncio.create_subprocess_exec(
            *self._command,
            offer.task_id,
            str(offer.version),
            how,
            stdin=asyncio.subprocess.DEVNULL,
        )
        self._processes[offer.task_id] = process
        if self._closed:
            _send(process, signal.SIGTERM)
        logger.warning("a suspect runs in a process of its own", extra={**job, "pid": process.pid})
        code = await process.wait()
        if code != 0 and not self._closed:
            self._ends[offer.task_id] = how = described(code)
            logger.error("a suspect's process was lost: %s", how, extra={**job, "how": how})


def described(code: int) -> str:
    """How a process ended: `SIGSEGV`, or `exit 3`."""
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _send(process: asyncio.subprocess.Process, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(what)
