"""Settings."""

from pathlib import Path

import pytest

from embedded_server.config import SettingsError, load

NONE = Path("/nonexistent")


def test_defaults_are_those_of_v0_9_8() -> None:
    found = load({}, NONE)
    assert (found.server.port, found.server.bind, found.storage.sqlite.path) == (
        8001,
        "0.0.0.0",
        "resonate.db",
    )
    assert (found.tasks.retry_timeout, found.observability.metrics_port, found.level) == (
        30_000,
        9090,
        "info",
    )
    assert (found.transports.http_poll.max_connections, found.transports.http_poll.buffer_size) == (1000, 100)


def test_variables_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "resonate.toml"
    file.write_text(
        'level = "warn"\n[tasks]\nretry_timeout = 5\n[server.cors]\nallow_origins = ["http://a"]\n'
    )
    found = load({"RESONATE_TASKS__RETRY_TIMEOUT": "1000", "RESONATE_DEBUG": "true", "OTHER": "x"}, file)
    assert (found.level, found.tasks.retry_timeout, found.debug) == ("warn", 1000, True)
    assert found.server.cors.allow_origins == ["http://a"]


def test_a_list_from_a_variable() -> None:
    found = load({"RESONATE_SERVER__CORS__ALLOW_ORIGINS": '["*"]'}, NONE)
    assert found.server.cors.allow_origins == ["*"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RESONATE_TASKS__RETRY_TIMEOUT", "soon", "retry_timeout"),
        ("RESONATE_STORAGE__TYPE", "postgres", "SQLite only"),
        ("RESONATE_STORAGE__TYPE", "oracle", "Unknown storage backend: 'oracle'"),
        ("RESONATE_TRANSPORTS__GCPS__ENABLED", "true", "RESONATE_SERVER=official"),
        ("RESONATE_TRANSPORTS__HTTP_POLL__BUFFER_SIZE", "0", "at least 1"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load({name: value}, NONE)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "resonate.toml"
    file.write_text("level =")
    with pytest.raises(SettingsError, match=r"resonate\.toml"):
        load({}, file)
