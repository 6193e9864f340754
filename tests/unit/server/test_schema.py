"""The file's version."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from embedded_server import schema
from embedded_server.schema import MIGRATIONS, ForeignFile, migrate


def open_(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def layout(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_every_older_version_becomes_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_(tmp_path / "new.db")) as db:
        migrate(db, "new.db")
        expected = layout(db)
    for version in range(1, len(MIGRATIONS)):
        with closing(open_(tmp_path / f"{version}.db")) as db:
            with monkeypatch.context() as older:
                older.setattr(schema, "MIGRATIONS", MIGRATIONS[:version])
                migrate(db, "old.db")
            db.execute(
                "INSERT INTO promises (id, state, param, timeout_at, created_at, task_state, task_version)"
                " VALUES ('p', 'pending', '{}', 5, 1, 'suspended', 1)"
            )
            migrate(db, "old.db")
            assert layout(db) == expected
            assert db.execute("SELECT id FROM promises WHERE task_state = 'suspended'").fetchall() == [("p",)]
            assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    with closing(open_(tmp_path / "r.db")) as db:
        migrate(db, "r.db")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        with pytest.raises(ForeignFile, match="run the newer server"):
            migrate(db, "r.db")
