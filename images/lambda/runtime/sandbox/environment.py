"""The execution environment's life: cold, init, invoke, frozen, and again.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html. An Init phase that fails or
takes longer than its limit is tried again inside the invocation, against the function's time-out; after a
crash or a time-out the environment is reset and the next invocation initialises it within its own duration
("suppressed init").
"""

import asyncio
import contextlib
import shutil
import sys
import time
from pathlib import Path

from .generation import Generation, timed_out
from .invocation import Fault, Invocation, Outcome
from .lines import Lines, Report
from .logs import Logs
from .rie import RieError
from .settings import Settings

_TMP = Path("/tmp")  # noqa: S108 - the function's own, as in AWS


class BusyError(Exception):
    """The environment is running an invocation, and runs only one at a time."""


class Environment:
    """Runs one invocation at a time; a second one raises BusyError."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._logs = Logs()
        version = f"python:{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
        self._lines = Lines(settings.log_format, version)
        self._generation: Generation | None = None
        self._preparing: asyncio.Task[Generation] | None = None
        #: Whether this environment has had its Init phase, successful or not.
        self._born = False
        self._busy = False
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.served = 0
        self.cold_starts = 0

    @property
    def generation(self) -> Generation:
        """The generation that the Runtime API's calls go to."""
        if self._generation is None:
            raise RieError("no function is running")
        return self._generation

    @property
    def state(self) -> str:
        if self._busy:
            return "busy"
        warm = self._generation is not None and self._generation.initialised and not self._generation.dead
        if not warm:
            return "cold"
        return "frozen" if self.settings.freeze else "warm"

    def prepare(self) -> None:
        """Starts the next generation's RIE in advance; none of the function's code runs yet."""
        if self._preparing is None and self._generation is None:
            self._preparing = asyncio.create_task(self._prepared())

    async def _prepared(self) -> Generation:
        generation = Generation(self.settings, self._logs)
        await generation.prepare()
        return generation

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Runs the function. Raises BusyError, RieError."""
        if self._busy:
            raise BusyError
        self._busy = True
        if self._idle is not None:
            self._idle.cancel()
        try:
            self._logs.drain()
            self._logs.begin()
            outcome = await self._invoke(invocation)
        except RieError:
            await self._reset()
            raise
        finally:
            self._busy = False
            self.served += 1
            if self.settings.idle:
                self._idle = asyncio.get_running_loop().call_later(self.settings.idle, self._tear_down)
        return outcome

    async def _invoke(self, invocation: Invocation) -> Outcome:
        generation = self._generation
        if generation is not None and generation.dead:
            await self._reset()
            generation = None
        init: float | None = None
        if generation is None and not self._born:
            init = await self._init_phase(invocation)
            generation = self._generation
        self._logs.write(self._lines.start(invocation.request_id))
        report = Report(invocation.request_id, 0.0, self.settings.memory, 0, init)
        started = time.perf_counter()
        fault: Fault | None = None
        failed, body = False, b""
        if generation is None:
            generation, fault = await self._suppressed_init(invocation)
        if fault is None:
            left = self.settings.timeout - (time.perf_counter() - started)
            fault, failed, body = await generation.run(invocation, left)
        if fault is not None and fault.status == "timeout":
            fault = timed_out(self.settings.timeout)
            report.duration = self.settings.timeout * 1000
        else:
            report.duration = (time.perf_counter() - started) * 1000
        peak = generation.processes.peak_mb() if generation.processes else 0
        report.max_memory = min(peak, self.settings.memory)
        if fault is not None:
            await self._reset()
            self._write_fault(invocation, report, fault)
            failed, body = True, fault.payload(invocation.request_id)
        self._logs.write(self._lines.end(report))
        return Outcome(invocation.request_id, body, "Unhandled" if failed else None, self._logs.tail)

    async def _init_phase(self, invocation: Invocation) -> float | None:
        """The Init phase of a new environment. Returns its duration in ms, or None if it failed: then it is tried again
        inside the invocation."""
        self._logs.write(self._lines.init_start(self.settings.name))
        generation = await self._next_generation()
        started = time.perf_counter()
        self._born = True
        self.cold_starts += 1
        fault = await generation.init(invocation, self.settings.init_limit)
        took = (time.perf_counter() - started) * 1000
        if fault is None:
            return took
        await self._reset()
        self._write_init_fault(took, "init", fault)
        return None

    async def _suppressed_init(self, invocation: Invocation) -> tuple[Generation, Fault | None]:
        started = time.perf_counter()
        generation = await self._next_generation()
        fault = await generation.init(invocation, self.settings.timeout - (time.perf_counter() - started))
        if fault is not None:
            self._write_init_fault((time.perf_counter() - started) * 1000, "invoke", fault)
        return generation, fault

    async def _next_generation(self) -> Generation:
        preparing, self._preparing = self._preparing, None
        self._generation = await (preparing or self._prepared())
        return self._generation

    async def _reset(self) -> None:
        """After a failure: kills all of the function's processes, keeps /tmp, and starts the next RIE."""
        generation, self._generation = self._generation, None
        if generation is not None:
            await generation.end()
        self.prepare()

    def _write_init_fault(self, took: float, phase: str, fault: Fault) -> None:
        error = None if fault.status == "timeout" else fault.kind
        self._logs.write(self._lines.init_report(took, phase, fault.status, error))

    def _write_fault(self, invocation: Invocation, report: Report, fault: Fault) -> None:
        report.status = fault.status
        report.error = None if fault.status == "timeout" else fault.kind
        if fault.body is not None:
            return
        timeout = fault.status == "timeout"
        text = fault.message if timeout else f"Error: {fault.message} {fault.kind}"
        self._logs.write(self._lines.fault(invocation.request_id, text))

    def _tear_down(self) -> None:
        task = asyncio.create_task(self._torn_down())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _torn_down(self) -> None:
        """Idle for long enough: the next request finds a new environment, with an empty /tmp and another
        log stream.
        """
        if self._busy:
            return
        self._busy = True
        try:
            self._born = False
            self.settings.renew()
            await self._reset()
            await asyncio.to_thread(_empty, _TMP)
        finally:
            self._busy = False

    async def stop(self) -> None:
        """Stops everything; the caller must have waited for a running invocation."""
        if self._idle is not None:
            self._idle.cancel()
        if self._preparing is not None:
            self._preparing.cancel()
            with contextlib.suppress(asyncio.CancelledError, RieError):
                await (await self._preparing).end()
        if self._generation is not None:
            await self._generation.end()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
