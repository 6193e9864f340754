"""What every step is handed: the settings, S3, the web, and the rooms where documents are read."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

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

    def crash_point(self, step: str, moment: str) -> None:
        """Die here, once in a container's life, if CRASH_AT says so: `kill -9`, for tests."""
        if self.settings.crash_at != f"{step}:{moment}":
            return
        mark = Path(self.settings.health_file).with_name(f"crashed-{step}-{moment}")
        if mark.exists():
            return
        mark.touch()
        logger.warning("crashing on purpose (CRASH_AT)", extra={"step": step, "moment": moment})
        os.kill(os.getpid(), signal.SIGKILL)
