"""The settings that every worker has: where they come from, and the errors for values that cannot be used."""

from pathlib import Path

import pytest

from durable_lambda.worker import SettingError, Settings
from durable_lambda.worker.settings import load

NOWHERE = Path("/nowhere")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in ("WORKER_GROUP", "RESONATE_URL", "RESONATE_HOST", "RESONATE_TOKEN", "RESONATE_TOKEN_FILE"):
        monkeypatch.delenv(field, raising=False)


def test_they_come_from_the_environment_and_an_empty_one_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Settings, NOWHERE) == Settings()
    for name, value in {
        "STEP_RETRY_SECONDS": "1, 2.5",
        "PRIVATE_HOSTS": "a.test, 10.0.0.7",
        "RESONATE_TASK_TTL_SECONDS": "7",
        "RESONATE_TASKS__RETRY_TIMEOUT": " 900 ",
        "WORKER_CONCURRENCY": "",
        "WORKER_GROUP": "",
        "STOP_SECONDS": "0",
    }.items():
        monkeypatch.setenv(name, value)
    found = load(Settings, NOWHERE)
    assert (found.step_retry_seconds, found.private_hosts) == ((1, 2.5), ("a.test", "10.0.0.7"))
    assert (found.task_ttl_seconds, found.task_retry_ms, found.stop_seconds) == (7, 900, 0)
    assert (found.worker_concurrency, found.worker_group) == (8, "worker")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WORKER_CONCURRENCY", "many", "give a whole number"),
        ("WORKER_CONCURRENCY", "1.5", "give a whole number"),
        ("WORKER_CONCURRENCY", "0", "give a number above 0"),
        ("RESONATE_TASK_TTL_SECONDS", "-1", "give a number above 0"),
        ("RESONATE_TASK_TTL_SECONDS", "nan", "give a number"),
        ("RESONATE_TASKS__RETRY_TIMEOUT", "soon", "give a whole number"),
        ("STEP_RETRY_SECONDS", "1,x", "give a number"),
        ("STEP_RETRY_SECONDS", "1,-2", "give 0 or more"),
        ("STOP_SECONDS", "-1", "give 0 or more"),
        ("PRIVATE_HOSTS", "http://a.test", "give names or addresses, separated by commas, without scheme or port"),
        ("TASK_TRIES", "1", "give 2 or more"),
    ],
)  # fmt: skip
def test_one_that_cannot_be_used_is_named_with_its_value_and_what_to_give(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as caught:
        load(Settings, NOWHERE)
    assert str(caught.value) == f"{name}={value!r} cannot be used: {told}."


def test_all_that_cannot_be_used_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "many")
    monkeypatch.setenv("TASK_TRIES", "1")
    with pytest.raises(SettingError, match=r"^WORKER_CONCURRENCY='many' .*\. TASK_TRIES='1' .*\.$"):
        load(Settings, NOWHERE)


def test_the_server_is_a_url_or_a_host_and_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().resonate_url == "http://server:8001"
    monkeypatch.setenv("RESONATE_HOST", "elsewhere")
    assert Settings().resonate_url == "http://elsewhere:8001"
    monkeypatch.setenv("RESONATE_STORE_PORT", "9001")
    assert Settings().resonate_url == "http://elsewhere:9001"
    monkeypatch.setenv("RESONATE_HOST", "https://elsewhere")
    assert Settings().resonate_url == "https://elsewhere:9001"
    monkeypatch.setenv("RESONATE_HOST", "elsewhere:7001")
    assert Settings().resonate_url == "http://elsewhere:7001"
    monkeypatch.setenv("RESONATE_URL", "http://named")
    assert Settings().resonate_url == "http://named"


def test_the_token_is_the_variable_or_the_named_file_or_the_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load(Settings, tmp_path).token is None
    (tmp_path / "resonate_token").write_text("")
    assert load(Settings, tmp_path).token is None
    (tmp_path / "resonate_token").write_text("of the secret\n")
    assert load(Settings, tmp_path).token == "of the secret"
    (tmp_path / "other").write_text("of the file\n")
    monkeypatch.setenv("RESONATE_TOKEN_FILE", str(tmp_path / "other"))
    assert load(Settings, tmp_path).token == "of the file"
    monkeypatch.setenv("RESONATE_TOKEN", "of the variable")
    assert load(Settings, tmp_path).token == "of the variable"
    assert "of the variable" not in repr(load(Settings, tmp_path))


def test_a_token_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESONATE_TOKEN_FILE", "/nowhere/token")
    with pytest.raises(
        SettingError, match=r"^RESONATE_TOKEN_FILE='/nowhere/token' cannot be read \(No such file"
    ):
        load(Settings, NOWHERE)
