"""A damaged store is noticed and reported once; nothing is answered from it, and no error quotes it."""

import json
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Running

Launch = Callable[..., Running]
Stopped = Callable[..., Running]
FAR = 32_503_680_000_000
SECRET = "a stored checkpoint"
SENTENCE = "The server's store is damaged, and nothing is answered from it any more"


def create(server: Running, id: str, size: int = 300) -> int:
    param = {"data": SECRET + "x" * size}
    return server.send("promise.create", {"id": id, "timeoutAt": FAR, "param": param})[0]


def fill(server: Running, count: int, size: int = 300) -> None:
    assert {create(server, f"p{n}", size) for n in range(count)} == {200}


@pytest.fixture
def stopped(launch: Launch) -> Callable[..., Running]:
    """A server that was stopped with so many promises in its file: p0, p1, …"""

    def make(count: int, size: int = 300, **settings: str) -> Running:
        server = launch(**settings)
        fill(server, count, size)
        assert server.stop() == 0
        return server

    return make


def file_of(server: Running) -> Path:
    return server.folder / "resonate.db"


def change(server: Running, *statements: str) -> None:
    """Changes the file of the stopped server: its pages are valid, its checksums are not."""
    with closing(sqlite3.connect(file_of(server))) as database, database:
        for statement in statements:
            assert database.execute(statement).rowcount in (1, -1)  # -1: it is not an UPDATE


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def red(server: Running) -> None:
    """Every answer says that the store is damaged, and contains no stored data."""
    tags = {"resonate:target": "poll://any@g"}
    action = {"kind": "promise.create", "head": {}, "data": {"id": "t", "timeoutAt": FAR, "tags": tags}}
    for kind, data in (
        ("promise.get", {"id": "p1"}),
        ("promise.search", {}),
        ("promise.create", {"id": "new", "timeoutAt": FAR}),
        ("task.create", {"pid": "w", "ttl": 1000, "action": action}),
    ):
        status, answer = server.send(kind, data)
        assert status == 500
        assert answer.startswith(SENTENCE)
        assert "make restore F=" in answer
        assert SECRET not in answer
    assert server.http("GET", "/ready")[0] == 503
    assert server.http("GET", "/ready")[0] == 503
    assert server.http("GET", "/health")[0] == 200  # as v0.9.8: the process is alive
    # What is wrong with a request is still said.
    assert server.send("promise.get", {})[0] == 400


def said(server: Running) -> str:
    """What it logged about it, once."""
    output = server.output()
    lines = [line for line in output.splitlines() if "is damaged" in line]
    assert len(lines) == 1, output
    assert "resonate.db is damaged" in lines[0]
    assert "make restore F=" in lines[0]
    assert SECRET not in output
    return lines[0]


@pytest.mark.parametrize("where", ["head", "middle", "last"])
def test_one_bit_in_the_log_after_a_kill(launch: Launch, where: str) -> None:
    server = launch()
    fill(server, 60)
    server.kill()
    log = server.folder / "resonate.db-wal"
    size = log.stat().st_size
    flip(log, {"head": 18, "middle": size // 2, "last": size - 5}[where])
    before = {path.name: path.read_bytes() for path in server.folder.iterdir()}
    server.start()
    red(server)
    line = said(server)
    assert "had been answered" in line
    assert {path.name: path.read_bytes() for path in server.folder.iterdir()} == before
    # AND it stays red after a graceful stop and a new start
    server.start()
    assert server.stop() == 0
    assert {path.name: path.read_bytes() for path in server.folder.iterdir()} == before


def test_overwritten_pages(stopped: Stopped) -> None:
    server = stopped(400)
    path = file_of(server)
    data = bytearray(path.read_bytes())
    rng = random.Random(3)
    for page in rng.sample(range(2, len(data) // 4096), 40):
        data[page * 4096 : page * 4096 + 4096] = rng.randbytes(4096)
    path.write_bytes(data)
    server.start()
    red(server)
    said(server)


def test_a_file_cut_short_and_a_file_that_is_no_database(stopped: Stopped) -> None:
    server = stopped(400)
    path = file_of(server)
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"\0" * 100 + data[100:], b"not a database" * 1000):
        path.write_bytes(broken)
        server.start()
        red(server)
        said(server)
        assert path.read_bytes() == broken
    path.write_bytes(data)
    server.start()
    assert server.send("promise.get", {"id": "p1"})[0] == 200


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE promises SET param = replace(param, 'x', 'y') WHERE id = 'p1'",
        "UPDATE promises SET param = CAST(x'ff' || param AS TEXT) WHERE id = 'p1'",
        "UPDATE promises SET state = 'resolved' WHERE id = 'p1'",
        "UPDATE promises SET tags = '{' WHERE id = 'p1'",
    ],
)
def test_a_row_that_is_not_what_was_written(stopped: Stopped, statement: str) -> None:
    server = stopped(3)
    change(server, statement)
    server.start()
    status, answer = server.send("promise.get", {"id": "p1"})
    assert (status, answer.startswith(SENTENCE)) == (500, True)
    red(server)
    said(server)


def test_a_row_that_nobody_asks_for_is_found_by_the_patrol(stopped: Stopped) -> None:
    server = stopped(250)
    change(server, "UPDATE promises SET value = '{ }' WHERE id = 'p249'")
    server.start()
    until = time.monotonic() + 20
    while server.http("GET", "/ready")[0] == 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    red(server)
    assert "row 250 of its promises" in said(server)


def test_what_an_older_server_wrote_is_read(stopped: Stopped) -> None:
    server = stopped(3, RESONATE_DEBUG="true")
    change(server, "ALTER TABLE promises DROP COLUMN sum", "PRAGMA user_version = 2")
    server.start()
    assert server.send("promise.settle", {"id": "p1", "state": "resolved"})[0] == 200
    snap = server.send("debug.snap", {})[1]
    assert [record["state"] for record in snap["promises"]] == ["pending", "resolved", "pending"]


def test_damage_at_work_of_a_file_that_is_overwritten(stopped: Stopped) -> None:
    """What is in the cache is still right; once anything else is read, the server is red."""
    server = stopped(130, 350_000)
    server.start()
    path = file_of(server)
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in range(2, pages):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    answers = [server.send("promise.get", {"id": f"p{n}"}) for n in range(130)]
    assert answers[-1][0] == 500
    for status, answer in answers:
        text = answer if status == 500 else answer["promise"]["param"]["data"]
        assert text.startswith(SENTENCE if status == 500 else SECRET + "xxx")
    red(server)
    said(server)


def test_an_error_that_is_no_damage_carries_nothing_stored(stopped: Stopped) -> None:
    server = stopped(2)
    change(server, "DROP INDEX promises_branch", "DROP TABLE listeners")
    server.start()
    status, answer = server.send("promise.register_listener", {"awaited": "p1", "address": "poll://uni@g/w"})
    assert status == 500
    assert SECRET not in json.dumps(answer)
    assert server.send("promise.get", {"id": "p1"})[0] == 200


def test_kill_9_at_random_moments_is_no_damage(launch: Launch) -> None:
    server = launch()
    rng = random.Random(9)
    count = 0
    for _ in range(15):
        for _ in range(rng.randrange(1, 40)):
            assert create(server, f"p{count}", rng.choice([10, 5_000, 40_000])) == 200
            count += 1
        server.kill()
        server.start()
        assert server.http("GET", "/ready")[0] == 200
        assert server.send("promise.get", {"id": f"p{count - 1}"})[0] == 200
