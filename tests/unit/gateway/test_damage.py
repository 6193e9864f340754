"""Damage to the store of asynchronous events is noticed and reported once, and nothing is answered from it."""

import asyncio
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

import gateway.invoker
from gateway.backlog import Backlog, DamagedError, Event
from gateway.delivery import Delivery
from gateway.environments import Environments
from gateway.invoker import Call
from gateway.lambda_api import LambdaApi
from gateway.settings import Settings

SECRET = "a stored payload"


def event(number: int = 0) -> Event:
    payload = b'{"n": %d, "text": "%s"}' % (number, SECRET.encode() * 50)
    return Event.of(Call(payload, "arn:aws:lambda:us-east-1:000000000000:function:f"))


async def killed(folder: Path, count: int = 30) -> Path:
    """What `kill -9` leaves after `count` accepted events."""
    work = folder / "work"
    backlog = Backlog(work)
    for number in range(count):
        await backlog.add(event(number))
    shutil.copytree(work, folder / "left")
    await backlog.close()
    return folder / "left"


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


async def test_kill_9_is_no_damage(tmp_path: Path) -> None:
    folder = await killed(tmp_path)
    backlog = Backlog(folder)
    assert backlog.damage is None
    assert await backlog.count() == 30
    await backlog.close()
    assert [path.name for path in folder.iterdir()] == ["gateway.db"]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
async def test_one_bit_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, part: float) -> None:
    folder = await killed(tmp_path)
    log = folder / "gateway.db-wal"
    flip(log, int(log.stat().st_size * part))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    backlog = Backlog(folder)
    for work in (backlog.count(), backlog.due(1e12, 10, set()), backlog.add(event()), backlog.dead_letters()):
        with pytest.raises(DamagedError, match=r"is damaged.*make restore F="):
            await work
    await backlog.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len([record for record in caplog.records if record.levelno == logging.CRITICAL]) == 1
    assert "gateway.db is damaged: gateway.db-wal" in caplog.text
    assert SECRET not in caplog.text


async def test_overwritten_pages_and_no_database(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path)
    for number in range(200):
        await backlog.add(event(number))
    await backlog.close()
    path = tmp_path / "gateway.db"
    data = path.read_bytes()
    for broken in (
        data[:8192] + b"\xff" * (len(data) - 8192),
        b"\0" * 200 + data[200:],
        data[: len(data) // 2],
    ):
        path.write_bytes(broken)
        backlog = Backlog(tmp_path)
        assert backlog.damage is not None
        with pytest.raises(DamagedError):
            await backlog.count()
        await backlog.close()
        assert path.read_bytes() == broken


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET payload = CAST(replace(CAST(payload AS TEXT), 'stored', 'STORED') AS BLOB)",
        "UPDATE event SET arn = CAST(x'ff' || arn AS TEXT)",
    ],
)
async def test_an_event_that_is_not_what_was_written(tmp_path: Path, statement: str) -> None:
    backlog = Backlog(tmp_path)
    await backlog.add(event())
    await backlog.close()
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database, database:
        assert database.execute(statement).rowcount == 1
    backlog = Backlog(tmp_path)
    with pytest.raises(DamagedError):
        await backlog.due(1e12, 10, set())
    with pytest.raises(DamagedError):
        await backlog.count()
    await backlog.close()


async def test_a_dead_letter_that_is_not_what_was_written(tmp_path: Path) -> None:
    backlog, sent = Backlog(tmp_path), event()
    await backlog.add(sent)
    await backlog.remove(sent, {"some": SECRET})
    assert await backlog.dead_letters() == [{"some": SECRET}]
    await backlog.close()
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database, database:
        database.execute("UPDATE dead_letter SET record = '{'")
    backlog = Backlog(tmp_path)
    with pytest.raises(DamagedError):
        await backlog.dead_letters()
    await backlog.close()


async def test_a_file_of_an_older_gateway_is_taken_over(tmp_path: Path) -> None:
    backlog, sent = Backlog(tmp_path), event()
    await backlog.add(sent)
    await backlog.close()
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database, database:
        for table in ("event", "dead_letter"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN sum")
    backlog = Backlog(tmp_path)
    assert await backlog.due(1e12, 10, set()) == [sent]
    await backlog.remove(sent, {})
    assert await backlog.dead_letters() == [{}]
    await backlog.close()


async def test_both_doors_say_so_and_delivery_rests(tmp_path: Path) -> None:
    folder = await killed(tmp_path)
    (folder / "gateway.db-wal").write_bytes(b"")
    settings, backlog = Settings.read({}), Backlog(folder)
    environments = Environments("localhost", 1)
    invoker = gateway.invoker.Invoker(environments, 0)
    delivery = Delivery(settings, backlog, invoker, environments)
    running = asyncio.create_task(delivery.run())
    api = LambdaApi(settings, invoker, environments, backlog, delivery)
    path = "/2015-03-31/functions/function/invocations"
    async with TestClient(TestServer(api.application())) as client:
        health = await client.get("/_local/health")
        assert health.status == 503
        assert "is damaged" in await health.text()
        assert (await client.get("/_local/dead-letters")).status == 503
        refused = await client.post(path, data=b"{}", headers={"X-Amz-Invocation-Type": "Event"})
        assert (refused.status, refused.headers["x-amzn-ErrorType"]) == (500, "ServiceException")
        assert "make restore F=" in (await refused.json())["Message"]
        assert not running.done()
    running.cancel()
    await invoker.close()
    await backlog.close()
