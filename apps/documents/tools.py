"""What every step is given: the settings, promises, S3, and the web."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import ClassVar

from durable_lambda import worker
from durable_lambda.worker import SettingError, confinement
from durable_lambda.worker.storage import Storage
from durable_lambda.worker.web import Web
from settings import Settings

logger = logging.getLogger("worker")


class Tools(worker.Tools):
    codes: ClassVar[Mapping[str, str]] = {
        "crashed": "document_corrupt",
        "not_found": "document_not_found",
        "not_readable": "document_not_readable",
        "over_limit": "document_too_complex",
        "storage_refused": "document_not_readable",
        "too_large": "document_too_large",
        "unreachable": "source_unavailable",
    }
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        _check_isolation(settings)
        # Where the library of a model's provider looks for its key.
        for name, value in settings.provider_keys.items():
            os.environ.setdefault(name, value)
        self.storage = Storage(threads=settings.worker_concurrency + 4)
        self.web = Web(
            private_hosts=settings.private_hosts, rule=settings.sources.check, agent="document-processor/1"
        )

    async def open(self) -> None:
        await self.storage.open()

    async def close(self) -> None:
        await self.web.close()
        self.storage.close()


def _check_isolation(settings: Settings) -> None:
    """Log how the reader's process is not confined. Raises :class:`SettingError` if all of it is required."""
    for gap in confinement.missing():
        if settings.reader_isolation == "required":
            raise SettingError(f"READER_ISOLATION=required is not possible here. {gap}")
        logger.warning("the reader's process is not fully confined", extra={"missing": gap})
