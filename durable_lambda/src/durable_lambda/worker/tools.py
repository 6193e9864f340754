"""What every step is handed: the settings, S3, the web, promises."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from resonate.promises import Promises

from contract import Identified
from settings import Settings
from storage import Storage
from web import Web

logger = logging.getLogger("worker")


def _nothing_refused(promise_id: str) -> str | None:
    return None


@dataclass
class Tools:
    settings: Settings
    storage: Storage = field(init=False)
    web: Web = field(init=False)
    #: Promises by their ids, beyond the job's own.
    promises: Promises = field(init=False)
    #: Why the step that a promise is for may not run, or None: it may (see takings.py).
    refusal: Callable[[str], str | None] = field(init=False, default_factory=lambda: _nothing_refused)

    def __post_init__(self) -> None:
        self.storage = Storage(threads=self.settings.worker_concurrency + 4)
        self.web = Web(private_hosts=self.settings.private_hosts, sources=self.settings.sources)

    async def close(self) -> None:
        await self.web.close()
        self.storage.close()

    async def crash_point(self, job: Identified, step: str, moment: str) -> None:
        """For tests, where CRASH_FOLDER is set: a job called `crash-<step>-<moment>…` dies here, once, as by
        `kill -9`; one called `poison-<step>-<moment>-<how>…` each time, until there is a file of its name that ends in
        `.cured`; one called `hold-<step>-<moment>…` says so by a file of its name and stands still, its lease renewed,
        until there is one that ends in `.go`.
        """
        if not self.settings.crash_folder or not job.jobId.startswith(
            (f"crash-{step}-{moment}", f"poison-{step}-{moment}-", f"hold-{step}-{moment}")
        ):
            return
        mark = Path(self.settings.crash_folder) / job.jobId
        if job.jobId.startswith("poison-"):
            if not mark.with_name(f"{job.jobId}.cured").exists():
                logger.warning("crashing on purpose (CRASH_FOLDER)", extra={"job": job.jobId, "step": step})
                _die(job.jobId.removeprefix(f"poison-{step}-{moment}-").partition("-")[0])
            return
        if job.jobId.startswith("hold-"):
            mark.touch()
            while not mark.with_name(f"{job.jobId}.go").exists():  # noqa: ASYNC110 - set from outside
                await asyncio.sleep(0.05)
            return
        if mark.exists():
            return
        mark.touch()
        logger.warning(
            "crashing on purpose (CRASH_FOLDER)", extra={"job": job.jobId, "step": step, "moment": moment}
        )
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
