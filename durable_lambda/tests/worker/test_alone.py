"""Suspects run in processes of their own, only a few at a time, and each offer runs once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from durable_lambda.worker.alone import MOST, Alone, described, own_command
from durable_lambda.worker.offers import Offer

#: Records that it began, then does what the task's name says.
SCRIPT = """
import os, pathlib, signal, sys, time
task, version, how = sys.argv[1:]
folder = pathlib.Path(os.environ["BEGUN"])
(folder / f"{task}.{version}").write_text(how)
if task.startswith("dies"):
    os.kill(os.getpid(), signal.SIGSEGV)
while task.startswith("waits") and not (folder / "go").exists():
    time.sleep(0.01)
"""


class Suspects:
    """Runs suspects. Each process that begins writes a file `<task>.<version>` with the arguments it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alone = Alone(self._still_offered, (sys.executable, "-c", SCRIPT))

    async def _still_offered(self, offer: Offer) -> bool:
        """Tasks called `taken…` now belong to another worker."""
        return not offer.task_id.startswith("taken")

    def offer(self, *names: str, version: int = 2) -> None:
        for name in names:
            self.alone.add(Offer(name, version))

    async def until_begun(self, *names: str) -> None:
        async with asyncio.timeout(20):
            while self.begun != set(names):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    @property
    def begun(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"go"}

    def let_go(self) -> None:
        """End the processes that wait."""
        (self.folder / "go").touch()


@pytest.fixture
async def suspects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Suspects]:
    monkeypatch.setenv("BEGUN", str(tmp_path))
    made = Suspects(tmp_path)
    yield made
    await made.alone.stop(10)


async def test_so_many_at_once_and_each_offer_once(suspects: Suspects) -> None:
    names = [f"waits-{number}" for number in range(MOST + 1)]
    suspects.offer(*names * 3)
    await suspects.until_begun(*(f"{name}.2" for name in names[:MOST]))
    suspects.let_go()
    await suspects.until_begun(*(f"{name}.2" for name in names))


async def test_the_next_process_is_told_how_the_last_one_ended(suspects: Suspects) -> None:
    suspects.offer("dies")
    await suspects.until_begun("dies.2")
    suspects.offer("dies", version=3)
    await suspects.until_begun("dies.2", "dies.3")
    told = [(suspects.folder / name).read_text() for name in ("dies.2", "dies.3")]
    assert told == ["", "SIGSEGV"]


async def test_a_process_whose_task_is_offered_again_is_killed_and_makes_room(suspects: Suspects) -> None:
    """The process hangs, so its lease is no longer renewed."""
    suspects.offer("waits")
    await suspects.until_begun("waits.2")
    suspects.offer("waits", version=3)
    await suspects.until_begun("waits.2", "waits.3")


async def test_what_another_worker_has_taken_meanwhile_is_not_run(suspects: Suspects) -> None:
    suspects.offer("taken", "free")
    await suspects.until_begun("free.2")


async def test_stopping_ends_every_process_and_begins_none(suspects: Suspects) -> None:
    names = [f"waits-{number}" for number in range(MOST + 1)]
    suspects.offer(*names)
    first = {f"{name}.2" for name in names[:MOST]}
    await suspects.until_begun(*first)
    await suspects.alone.stop(10)
    suspects.offer("more")
    assert not suspects.alone._running
    assert suspects.begun == first


def test_how_a_process_ended() -> None:
    assert (described(-11), described(3)) == ("SIGSEGV", "exit 3")


def test_a_suspect_s_process_runs_the_application_s_own_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "app/worker.py", raising=False)
    assert own_command() == (sys.executable, str(tmp_path / "app/worker.py"))
