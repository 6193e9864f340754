"""What every step is handed: the settings, S3, the web, and the rooms where documents are read."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from contract import Job
from settings import Settings
from storage import Storage
from web import Web

logger = logging.getLogger("worker")


@dataclass
class Tools:
    settings: Settings
    storage: Storage = field(init=False)
    web: Web = field(init=False)

    def __post_init__(self) -> None:
        self.storage = Storage(threads=self.settings.worker_concurrency + 4)
        self.web = Web(allow_private=self.settings.allow_private_urls)

    async def close(self) -> None:
        await self.web.close()
        self.storage.close()

    def crash_point(self, job: Job, step: str, moment: str) -> None:
        """Die here, once, if CRASH_FOLDER is set and the job is called so: `kill -9`, for tests."""
        if not self.settings.crash_folder or not job.jobId.startswith(f"crash-{step}-{moment}"):
            return
        mark = Path(self.settings.crash_folder) / job.jobId
        if mark.exists():
            return
        mark.touch()
        logger.warning(
            "crashing on purpose (CRASH_FOLDER)", extra={"job": job.jobId, "step": step, "moment": moment}
        )
        os.kill(os.getpid(), signal.SIGKILL)
