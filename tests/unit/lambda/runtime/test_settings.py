"""What the function sees of the container's variables, and what a wrong one says."""

from pathlib import Path

import pytest

from sandbox.settings import Settings
from shared.environ import SettingError


def test_the_function_sees_its_own_and_awss_variables_only() -> None:
    settings = Settings.read(
        {
            "RESONATE_URL": "http://server:8001",
            "LAMBDA_TIMEOUT": "7",
            "LAMBDA_FREEZE": "off",
            "HOSTNAME": "abc",
            "HOME": "/root",
            "PATH": "/elsewhere",
            "PYTHONPATH": "/x",
            "AWS_REGION": "eu-central-1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1",
        }
    )
    seen = settings.environment("127.0.0.1:9001")
    assert seen["RESONATE_URL"] == "http://server:8001"
    assert seen["AWS_REGION"] == seen["AWS_DEFAULT_REGION"] == "eu-central-1"
    # Reserved: a function's configuration cannot set them.
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert seen["PYTHONPATH"] == "/var/runtime"
    assert not {"LAMBDA_TIMEOUT", "LAMBDA_FREEZE", "HOSTNAME", "HOME"} & set(seen)
    assert (settings.timeout, settings.freeze) == (7, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAMBDA_TIMEOUT", "901"),
        ("LAMBDA_TIMEOUT", "long"),
        ("LAMBDA_MEMORY_MB", "1"),
        ("LAMBDA_FREEZE", "maybe"),
        ("LAMBDA_LOG_FORMAT", "XML"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError) as raised:
        Settings.read({name: value})
    assert name in str(raised.value)
    assert repr(value) in str(raised.value)


def test_a_new_environment_has_a_new_log_stream() -> None:
    settings = Settings()
    before = settings.log_stream
    settings.renew()
    assert settings.log_stream != before


def test_the_function_finds_its_key_as_a_role_s_in_aws(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = b%c\n")
    found = Settings.read({"LAMBDA_CREDENTIALS_FILE": str(file)}).environment("api")
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("A", "b%c")
    assert "LAMBDA_CREDENTIALS_FILE" not in found
    assert "AWS_ACCESS_KEY_ID" not in Settings.read({}).environment("api")
    file.write_text("")
    with pytest.raises(SettingError, match="LAMBDA_CREDENTIALS_FILE"):
        Settings.read({"LAMBDA_CREDENTIALS_FILE": str(file)})
