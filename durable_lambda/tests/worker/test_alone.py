"""Suspects run in processes of their own, few at once, each once."""

import asyncio
import sys
from pathlib import Path

import pytest

from alone import MOST, Alone, described
from offers import Offer

#: Says that it began, then does what the task's name says.
SCRIPT = """
import os, pathlib, signal, sys, time
task, version, how = sys.argv[1:]
folder = pathlib.Path(os.environ["SEEN"])
(folder / f"{task}.{version}").write_text(how)
if task.startswith("dies"):
    os.kill(os.getpid(), signal.SIGSEGV)
while task.startswith("waits") and not (folder / "go").exists():
    time.sleep(0.01)
"""


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEN", str(tmp_path))
    return tmp_path


def runner(gone: frozenset[str] = frozenset()) -> Alone:
    async def still_offered(offer: Offer) -> bool:
        return offer.task_id not in gone

    return Alone(still_offered, (sys.executable, "-c", SCRIPT))


async def until(seen: Path, *names: str) -> None:
    async with asyncio.timeout(20):
        while {path.name for path in seen.iterdir()} != set(names):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)


async def test_so_many_at_once_and_each_offer_once(seen: Path) -> None:
    alone = runner()
    names = [f"waits-{number}" for number in range(MOST + 1)]
    for name in names * 3:
        alone.add(Offer(name, 2))
    await until(seen, *(f"{name}.2" for name in names[:MOST]))
    (seen / "go").touch()
    await until(seen, "go", *(f"{name}.2" for name in names))
    await alone.stop(5)


async def test_the_next_process_is_told_how_the_last_one_ended(seen: Path) -> None:
    alone = runner()
    alone.add(Offer("dies", 2))
    await until(seen, "dies.2")
    alone.add(Offer("dies", 3))
    await until(seen, "dies.2", "dies.3")
    assert (seen / "dies.2").read_text() == ""
    assert (seen / "dies.3").read_text() == "SIGSEGV"
    await alone.stop(5)


async def test_a_process_whose_task_is_offered_again_holds_it_no_more_and_makes_room(seen: Path) -> None:
    """It hangs: its lease is not renewed any more."""
    alone = runner()
    alone.add(Offer("waits", 2))
    await until(seen, "waits.2")
    alone.add(Offer("waits", 3))
    await until(seen, "waits.2", "waits.3")
    await alone.stop(5)


async def test_what_another_worker_has_taken_meanwhile_is_not_run(seen: Path) -> None:
    alone = runner(gone=frozenset({"taken"}))
    alone.add(Offer("taken", 2))
    alone.add(Offer("free", 2))
    await until(seen, "free.2")
    await alone.stop(5)


async def test_stopping_ends_every_process_and_begins_none(seen: Path) -> None:
    alone = runner()
    for number in range(MOST + 1):
        alone.add(Offer(f"waits-{number}", 2))
    await until(seen, *(f"waits-{number}.2" for number in range(MOST)))
    await alone.stop(10)
    alone.add(Offer("more", 2))
    assert not alone._running
    assert len(list(seen.iterdir())) == MOST  # noqa: ASYNC240


def test_how_a_process_ended() -> None:
    assert (described(-11), described(3)) == ("SIGSEGV", "exit 3")
