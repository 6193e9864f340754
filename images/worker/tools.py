"""What every step is handed: the settings, S3, the web, promises."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from resonate.promises import Promises

from contract import Identified
from settings import Settings
from storage import Storage
from web import Web

logger = logging.getLogger("worker")


@dataclass
class Tools:
    settings: Settings
    storage: Storage = field(init=False)
    web: Web = field(init=False)
    #: Promises by their ids, beyond the job's own.
    promises: Promises = field(init=False)

    def __post_init__(self) -> None:
        self.storage = Storage(threads=self.settings.worker_concurrency + 4)
        self.web = Web(private_hosts=self.settings.private_hosts, sources=self.settings.sources)

    async def close(self) -> None:
        await self.web.close()
        self.storage.close()

    async def crash_point(self, job: Identified, step: str, moment: str) -> None:
        """For tests, where CRASH_FOLDER is set: a job called `crash-<step>-<moment>…` dies here, once, as by
        `kill -9`; one called `hold-<step>-<moment>…` says so by a file of its name and stands still, its lease
        renewed, until there is one that ends in `.go`.
        """
        if not self.settings.crash_folder or not job.jobId.startswith(
            (f"crash-{step}-{moment}", f"hold-{step}-{moment}")
        ):
            return
        mark = Path(self.settings.crash_folder) / job.jobId
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
