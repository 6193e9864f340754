"""The health file: its age tells the health check whether the server can reach this worker and its event loop runs.

The file exists from the start, dated 1970, so that the check knows that this worker reports its health by a file.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from durable_lambda.worker.connections import Inbox
from durable_lambda.worker.settings import SettingError


def make(file: Path) -> None:
    """Make the file, dated 1970: not healthy. Raises :class:`SettingError` if that cannot be done."""
    try:
        file.touch()
        _unwell(file)
    except OSError as error:
        raise SettingError(
            f"HEALTH_FILE={str(file)!r} cannot be written ({error.strerror}): name a file in a folder that the worker "
            "may write to."
        ) from None


async def report(file: Path, inbox: Inbox) -> None:
    """Date the file anew each second: now, while the server can reach this worker; 1970, while it cannot."""
    while True:
        if inbox.connected:
            file.touch()  # noqa: ASYNC240 - in memory
        else:
            _unwell(file)
        await asyncio.sleep(1)


def _unwell(file: Path) -> None:
    os.utime(file, (0, 0))
