"""The worker's process, from its start to its end: what it waits for, and what it does not."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

import worker
from settings import Settings
from storage import Storage


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """A server that nobody answers at."""
    return Settings(
        resonate_url="http://127.0.0.1:9", health_file=str(tmp_path / "healthy"), stop_seconds=0.5
    )


async def test_a_worker_told_to_stop_does_not_wait_for_s3(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = asyncio.Event()

    async def open_for_ever(_: Storage) -> None:
        opening.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Storage, "open", open_for_ever)
    running = asyncio.create_task(worker.run(settings))
    await opening.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 10)


async def test_a_worker_whose_s3_is_not_configured_ends_and_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Storage) -> None:
        raise ValueError("Invalid endpoint: nonsense")

    monkeypatch.setattr(Storage, "open", refuse)
    with pytest.raises(ValueError, match="Invalid endpoint"):
        await asyncio.wait_for(worker.run(settings), 10)
