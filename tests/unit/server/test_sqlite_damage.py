"""What of a damaged SQLite file is noticed, and that a crash is not taken for damage. Real files."""

import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shared.sqlite_damage import (
    Answered,
    answered_of,
    damage_before_opening,
    is_damage,
    quick_check,
    read_log,
    wal_of,
)

FRAME = 24 + 4096


def connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x TEXT NOT NULL)")
    return database


def written(folder: Path, transactions: int = 10, noted: bool = True) -> Path:
    """A database and its log, as `kill -9` leaves them behind so many answered transactions."""
    at_work = folder / "work"
    at_work.mkdir()
    database = connect(at_work / "a.db")
    answered = Answered(at_work / "a.db") if noted else None
    for number in range(transactions):
        database.execute("INSERT INTO t (x) VALUES (?)", (f"{number} " + "x" * 6000,))
        if answered is not None:
            answered.note(answered.position())
    shutil.copytree(at_work, folder / "left")
    database.close()
    return folder / "left" / "a.db"


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def rows(path: Path) -> int:
    database = connect(path)
    (count,) = database.execute("SELECT count(*) FROM t").fetchone()
    database.close()
    return int(count)


def test_what_kill_9_leaves_is_no_damage(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert damage_before_opening(path) is None
    assert rows(path) == 10


@pytest.mark.parametrize("noted", [True, False])
def test_a_bit_in_the_middle_of_the_log(tmp_path: Path, noted: bool) -> None:
    path = written(tmp_path, noted=noted)
    flip(wal_of(path), 32 + 5 * FRAME + 24 + 100)
    before = wal_of(path).read_bytes()
    found = damage_before_opening(path)
    assert found is not None
    assert "a.db-wal" in found
    assert wal_of(path).read_bytes() == before


def test_a_bit_anywhere_in_what_was_answered(tmp_path: Path) -> None:
    """In heads of frames and in pages, the last frame and the log's own head included."""
    path = written(tmp_path)
    size = wal_of(path).stat().st_size
    rng = random.Random(1)
    last = size - FRAME
    places = [*range(32), *(last + n for n in range(24)), size - 1, *(rng.randrange(size) for _ in range(60))]
    for place in places:
        flip(wal_of(path), place)
        assert damage_before_opening(path) is not None, place
        flip(wal_of(path), place)
    assert damage_before_opening(path) is None


@pytest.mark.parametrize("left", [0, 1, 31, 32, 5000, -1, -FRAME])
def test_a_log_that_was_cut_short(tmp_path: Path, left: int) -> None:
    path = written(tmp_path)
    os.truncate(wal_of(path), left if left >= 0 else wal_of(path).stat().st_size + left)
    assert damage_before_opening(path) is not None


def test_a_log_that_is_gone(tmp_path: Path) -> None:
    path = written(tmp_path)
    wal_of(path).unlink()
    assert "empty or gone" in str(damage_before_opening(path))


def test_an_older_log_in_its_place(tmp_path: Path) -> None:
    path = written(tmp_path)
    older = wal_of(path).read_bytes()
    database = connect(path)
    answered = Answered(path)
    database.execute("PRAGMA wal_checkpoint(RESTART)")
    for _ in range(2):
        database.execute("INSERT INTO t (x) VALUES ('y')")
        answered.note(answered.position())
    copied = tmp_path / "later"
    shutil.copytree(path.parent, copied)
    database.close()
    path = copied / "a.db"
    assert damage_before_opening(path) is None
    wal_of(path).write_bytes(older)
    assert "not the log" in str(damage_before_opening(path))


def test_another_program_that_had_the_file_open(tmp_path: Path) -> None:
    """The sqlite3 shell, say: when it closes the file, it moves the log into it and removes the log."""
    path = written(tmp_path)
    database = sqlite3.connect(path)
    database.execute("INSERT INTO t (x) VALUES ('of another program')")
    database.commit()
    copied = tmp_path / "under way"
    shutil.copytree(path.parent, copied)
    database.close()
    assert not wal_of(path).exists()
    for file in (path, copied / "a.db"):
        assert damage_before_opening(file) is None
        assert rows(file) == 11


def test_an_empty_file_where_there_was_a_database(tmp_path: Path) -> None:
    path = written(tmp_path)
    wal_of(path).unlink()
    path.write_bytes(b"")
    assert "a.db is empty or gone" in str(damage_before_opening(path))
    path.unlink()
    assert "a.db is empty or gone" in str(damage_before_opening(path))


def test_there_is_nothing_yet(tmp_path: Path) -> None:
    assert damage_before_opening(tmp_path / "a.db") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("noted", [True, False])
def test_a_torn_end_is_a_crash_and_no_damage(tmp_path: Path, noted: bool) -> None:
    """A transaction that was under way: its frames are there in part, or the last of them is not whole."""
    path = written(tmp_path, noted=noted)
    whole = wal_of(path).read_bytes()
    salts = whole[16:24]
    for tail in (
        b"",
        b"\0" * 24,
        b"\xff" * 100,
        struct.pack(">II", 3, 0) + salts + b"\1" * (FRAME - 16),
        struct.pack(">II", 3, 5) + salts + b"\1" * (FRAME - 16),
        struct.pack(">II", 3, 5) + salts + b"\1" * 500,
    ):
        wal_of(path).write_bytes(whole + tail)
        assert damage_before_opening(path) is None, tail[:16]
    # What was torn must not be taken for answered later.
    wal_of(path).write_bytes(whole + (struct.pack(">II", 3, 5) + salts + b"\1" * (FRAME - 16)) * 20)
    if noted:
        assert damage_before_opening(path) is None
        database = connect(path)
        answered = Answered(path)
        database.execute("INSERT INTO t (x) VALUES ('y')")
        answered.note(answered.position())
        shutil.copytree(path.parent, tmp_path / "again")
        database.close()
        assert damage_before_opening(tmp_path / "again" / "a.db") is None


def test_frames_of_an_older_log_behind_the_end_are_no_damage(tmp_path: Path) -> None:
    path = written(tmp_path)
    database = connect(path)
    answered = Answered(path)
    database.execute("PRAGMA wal_checkpoint(RESTART)")
    database.execute("INSERT INTO t (x) VALUES ('y')")
    for folder in ("before the note", "after it"):
        shutil.copytree(path.parent, tmp_path / folder)
        assert damage_before_opening(tmp_path / folder / "a.db") is None
        answered.note(answered.position())
    log = read_log(wal_of(path))
    assert log.position is not None
    assert log.position.frames < 10
    assert (log.more, log.torn) == (False, False)
    assert log.end < log.size
    # What was answered from the new log is looked after too.
    flip(wal_of(tmp_path / "after it" / "a.db"), 32 + 24)
    assert damage_before_opening(tmp_path / "after it" / "a.db") is not None
    database.close()


def test_after_a_clean_end_there_is_nothing_to_answer_for(tmp_path: Path) -> None:
    path = written(tmp_path)
    database = connect(path)
    answered = Answered(path)
    answered.note(answered.position())
    answered.forget(database)
    # Killed here, or after the log is gone:
    assert damage_before_opening(path) is None
    database.close()
    assert not wal_of(path).exists()
    assert damage_before_opening(path) is None
    answered.close()
    assert [file.name for file in path.parent.iterdir()] == ["a.db"]
    assert damage_before_opening(path) is None


def test_a_sidecar_that_says_nothing_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path)
    for kept in (b"", b"x", b"\0" * 24, b"\xff" * 24):
        answered_of(path).write_bytes(kept)
        assert damage_before_opening(path) is None
    # The log alone shows that a transaction lies behind what is not whole.
    flip(wal_of(path), 32 + 3 * FRAME + 500)
    assert damage_before_opening(path) is not None


def test_large_and_rolled_back_transactions_are_counted_right(tmp_path: Path) -> None:
    """What spills out of the cache into the log and is rolled back was never answered."""
    path = tmp_path / "a.db"
    database = connect(path)
    database.execute("PRAGMA cache_size = 10")
    answered = Answered(path)
    for number in range(6):
        database.execute("BEGIN")
        for _ in range(40):
            database.execute("INSERT INTO t (x) VALUES (?)", ("z" * 6000,))
        database.execute("ROLLBACK" if number % 2 else "COMMIT")
        answered.note(answered.position())
        found = read_log(wal_of(path))
        assert found.position == answered.position()
        shutil.copytree(tmp_path, copied := tmp_path.parent / f"copy-{tmp_path.name}-{number}")
        assert damage_before_opening(copied / "a.db") is None
    database.close()


def test_pages_that_were_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path, 300)
    assert rows(path) == 300
    database = sqlite3.connect(path)
    assert quick_check(database, 10) == (None, True)
    database.close()
    data = bytearray(path.read_bytes())
    for page in range(3, 20):
        data[page * 4096 : page * 4096 + 200] = os.urandom(200)
    path.write_bytes(data)
    database = sqlite3.connect(path)
    found, finished = quick_check(database, 10)
    assert found is not None
    assert "do not fit together" in found
    assert "xxx" not in found
    assert finished
    database.close()


def test_the_check_ends_when_its_time_is_over(tmp_path: Path) -> None:
    path = written(tmp_path, 300)
    database = sqlite3.connect(path)
    assert quick_check(database, 0) == (None, False)
    assert database.execute("SELECT count(*) FROM t").fetchone() == (300,)
    database.close()


def test_which_errors_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database at all" * 100)
    database = sqlite3.connect(path)
    with pytest.raises(sqlite3.DatabaseError) as no_database:
        database.execute("SELECT * FROM sqlite_master")
    assert is_damage(no_database.value)
    database.close()
    database = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as no_text:
        database.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
    assert is_damage(no_text.value)
    with pytest.raises(sqlite3.OperationalError) as other:
        database.execute("SELECT * FROM nowhere")
    assert not is_damage(other.value)
    database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError) as full:
        database.execute("CREATE TABLE a (b)")
    assert not is_damage(full.value)
    assert not is_damage(OSError())


WRITER = """
import random, sqlite3, sys
from pathlib import Path
from shared.sqlite_damage import Answered, damage_before_opening
path, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
found = damage_before_opening(path)
if found:
    sys.exit(found)
database = sqlite3.connect(path, isolation_level=None)
for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 30",
               "cache_size = 20"):
    database.execute(f"PRAGMA {pragma}")
(found,) = database.execute("PRAGMA integrity_check").fetchone()
if found != "ok":
    sys.exit(found)
database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x TEXT NOT NULL)")
print(database.execute("SELECT count(*) FROM t").fetchone()[0], flush=True)
answered = Answered(path)
while True:
    database.execute("BEGIN")
    for _ in range(rng.choice([1, 1, 3, 60])):
        database.execute("INSERT INTO t (x) VALUES (?)", ("x" * rng.choice([10, 3000, 9000]),))
    over = rng.random() < 0.2
    database.execute("ROLLBACK" if over else "COMMIT")
    answered.note(answered.position())
    if not over:
        print(database.execute("SELECT count(*) FROM t").fetchone()[0], flush=True)
    if rng.random() < 0.02:
        answered.forget(database)
        database.close()
        break
"""


def test_kill_9_at_random_moments_is_never_damage(tmp_path: Path) -> None:
    path, rng, seen = tmp_path / "a.db", random.Random(7), 0
    for turn in range(40):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(turn)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(rng.uniform(0, 0.08))
        writer.send_signal(signal.SIGKILL)
        output, error = writer.communicate()
        assert writer.returncode in (0, -signal.SIGKILL), f"turn {turn}: {error.decode()}"
        assert int(first) >= seen
        lines = (first + output).split(b"\n")
        seen = max(int(line) for line in lines[:-1])  # the last one may be cut
    assert seen > 100
