"""The tools that steps get: the contract's codes for the library's faults, the models' keys, the limited process."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

import workflow
from contract import FAULTS
from durable_lambda.worker import SettingError, confinement
from durable_lambda.worker.confinement import landlock, seccomp
from durable_lambda.worker.trouble import CODES
from settings import Settings
from tools import Tools


def test_every_code_that_the_library_knows_is_documented_under_some_name() -> None:
    assert set(Tools.codes) <= set(CODES)
    assert {Tools.codes.get(code, code) for code in CODES} <= set(FAULTS)


def test_the_keys_of_a_model_s_provider_are_where_its_library_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "of the environment")
    monkeypatch.setenv("GROQ_API_KEY", "")
    monkeypatch.delenv("GROQ_API_KEY")
    Tools(
        Settings(
            model_keys=SecretStr("GROQ_API_KEY=gsk-a=b\nMISTRAL_API_KEY=of the secret\nEMPTY_API_KEY=\n")
        )
    )
    assert (os.environ["GROQ_API_KEY"], os.environ["MISTRAL_API_KEY"]) == ("gsk-a=b", "of the environment")
    assert "EMPTY_API_KEY" not in os.environ


def test_what_the_kernel_lacks_is_said_or_stops_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert confinement.missing() == [], "this kernel cannot run these tests"
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(seccomp, "available", lambda: False)
    Tools(Settings())
    assert ["Landlock" in caplog.records[0].missing, "seccomp" in caplog.records[1].missing] == [True, True]  # type: ignore[attr-defined]
    with pytest.raises(SettingError, match=r"READER_ISOLATION=required is not possible here\. .*Landlock"):
        Tools(Settings(reader_isolation="required"))


def test_no_step_starts_a_process_of_its_own() -> None:
    """The limited process is the one way for what is foreign, so that none is left open."""
    home = Path(workflow.__file__).parent
    starts = (
        "subprocess",
        "os.fork",
        "os.spawn",
        "os.posix_spawn",
        "multiprocessing",
        "os.system",
        "os.popen",
    )
    folders = ("steps", "reading", "analysis")
    modules = [*home.glob("*.py"), *(path for folder in folders for path in (home / folder).rglob("*.py"))]
    assert len(modules) > 20
    assert [path.name for path in modules if any(word in path.read_text() for word in starts)] == []
