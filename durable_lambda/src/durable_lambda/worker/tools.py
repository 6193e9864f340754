"""What every step is given. An application adds what its own steps need by a subclass."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from resonate.context import Context
from resonate.promises import Promises
from resonate.resonate import Resonate

from durable_lambda.worker.settings import Settings

logger = logging.getLogger("worker")


class Identified(Protocol):
    """A job: whatever a workflow is asked to do, under the id that its client chose."""

    @property
    def jobId(self) -> str: ...  # noqa: N802 - the wire's spelling


class Tools:
    """The settings, and promises by their ids.

    Made before the worker connects to the server. `open()` runs while the first jobs begin: a step that needs what is
    still being opened waits for it. `close()` runs when the worker stops.
    """

    #: The application's own codes for faults of the library (:data:`durable_lambda.worker.trouble.CODES`), if it has
    #: others for them.
    codes: ClassVar[Mapping[str, str]] = {}

    settings: Settings
    #: Promises beyond the job's own, once the worker's client is there.
    promises: Promises
    #: Why the step of a promise may not run; None if it may (see takings.py).
    refusal: Callable[[str], str | None]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.refusal = lambda _: None

    async def open(self) -> None:
        """Connect to what steps need. An exception ends the worker."""

    async def close(self) -> None:
        """Let go of what was opened."""

    async def crash_point(self, job: Identified, step: str, moment: str) -> None:
        """For tests, if CRASH_FOLDER is set: kills or holds the worker here if the job's id asks for it.

        `crash-<step>-<moment>…` kills it once, as `kill -9` would. `poison-<step>-<moment>-<exit|segv|oom>…` kills
        it each time, until the folder has a file `<jobId>.cured`. `hold-<step>-<moment>…` makes a file of the
        job's id there and waits, its lease renewed, until there is a file `<jobId>.go`.
        """
        kind, _, place = job.jobId.partition("-")
        if not self.settings.crash_folder or not place.startswith(f"{step}-{moment}"):
            return
        mark = Path(self.settings.crash_folder) / job.jobId
        where = {"job": job.jobId, "step": step, "moment": moment}
        if kind == "hold":
            mark.touch()
            while not mark.with_name(f"{job.jobId}.go").exists():  # noqa: ASYNC110 - set from outside
                await asyncio.sleep(0.05)
        elif kind == "poison" and not mark.with_name(f"{job.jobId}.cured").exists():
            logger.warning("crashing on purpose (CRASH_FOLDER)", extra=where)
            _die(place.removeprefix(f"{step}-{moment}-").partition("-")[0])
        elif kind == "crash" and not mark.exists():
            mark.touch()
            logger.warning("crashing on purpose (CRASH_FOLDER)", extra=where)
            os.kill(os.getpid(), signal.SIGKILL)


def _die(how: str) -> None:
    """End this process as a bug would: by leaving, by a bad pointer, or by taking all the memory there is."""
    if how == "exit":
        os._exit(3)
    if how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    taken = []
    while how == "oom":
        taken.append(b"x" * (64 << 20))


class _Provided:
    """Holds the tools: the SDK finds a dependency by its exact class, and the library does not know the application's."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools


def provide(resonate: Resonate, tools: Tools) -> None:
    """Make the tools known to all workflows: to `ctx.get_dependency` by their own class, to the library by `tools_of`."""
    resonate.with_dependency(tools).with_dependency(_Provided(tools))


def tools_of(ctx: Context) -> Tools:
    """The tools of the application, whatever their class."""
    return ctx.get_dependency(_Provided).tools
