"""The document worker's own settings. Those of every worker are tested with the library."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from durable_lambda.worker import SettingError
from durable_lambda.worker.settings import load
from settings import Settings

NOWHERE = Path("/nowhere")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is told nothing."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], secrets: Path = NOWHERE) -> Settings:
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return load(Settings, secrets)


def test_settings_come_from_the_environment_and_name_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, {}) == Settings()
    found = given(monkeypatch, {"MAX_DOCUMENT_MB": "5", "WEBHOOK_RETRY_SECONDS": "1, 2.5", "WORK_BUCKET": ""})
    assert (found.max_document_bytes, found.webhook_retry_seconds) == (5_000_000, (1, 2.5))
    assert found.work_bucket == "work"
    for name, value, told in (
        ("MAX_DOCUMENT_MB", "0", "give a number above 0"),
        ("READER_SECONDS", "long", "give a whole number"),
        ("READER_ISOLATION", "off", "give 'available' or 'required'"),
    ):
        with pytest.raises(SettingError, match=f"^{name}='{value}' cannot be used: {told}.$"):
            given(monkeypatch, {name: value})


def test_a_bucket_of_the_worker_s_own_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in (
        {"WORK_BUCKET": "documents"},
        {"RESULTS_BUCKET": "one", "DOCUMENTS_BUCKET": "one"},
        {"SOURCE_BUCKETS": "a, work"},
    ):
        with pytest.raises(SettingError, match=r"^WORK_BUCKET or RESULTS_BUCKET is .*a bucket of its own"):
            given(monkeypatch, bad)
    assert given(monkeypatch, {"SOURCE_BUCKETS": "other"}).sources.allowed == {"other", "documents"}
    variables = {"WORK_BUCKET": "mine", "AWS_ENDPOINT_URL_S3": "http://localstack:4566"}
    sources = given(monkeypatch, variables).sources
    assert sources.own == {"mine", "results"}
    assert sources.endpoint == "localstack"


def test_secrets_come_from_files_unless_the_environment_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "webhook_secret").write_text("whsec_YQ==\n")
    (tmp_path / "resonate_token").write_text("")
    (tmp_path / "model_keys").write_text("OPENAI_API_KEY=sk-a=b\nANTHROPIC_API_KEY=\n")
    found = given(monkeypatch, {}, tmp_path)
    assert (found.webhook_secret, found.token) == (SecretStr("whsec_YQ=="), None)
    assert found.provider_keys == {"OPENAI_API_KEY": "sk-a=b"}
    by_hand = given(monkeypatch, {"WEBHOOK_SECRET": "whsec_Yg=="}, tmp_path)
    assert by_hand.webhook_secret == SecretStr("whsec_Yg==")
    assert given(monkeypatch, {}, tmp_path / "none").provider_keys == {}
    assert "sk-a" not in repr(found)


def test_a_secret_that_cannot_sign_stops_the_worker_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for good in ("whsec_a2V5", "a2V5"):
        assert given(monkeypatch, {"WEBHOOK_SECRET": good}).webhook_secret == SecretStr(good)
    with pytest.raises(SettingError) as caught:
        given(monkeypatch, {"WEBHOOK_SECRET": "whsec_not base64!"})
    assert str(caught.value) == "WEBHOOK_SECRET cannot be used: give whsec_ and base64 of the key."
