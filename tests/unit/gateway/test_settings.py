"""A wrong setting stops the gateway with a sentence that names it."""

import pytest

from gateway.settings import Settings
from shared.environ import SettingError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAMBDA_HOST", "lambda"),
        ("LAMBDA_BURST_SECONDS", "soon"),
        ("LAMBDA_BURST_SECONDS", "-1"),
        ("API_EVENT_VERSION", "3.0"),
        ("LAMBDA_RETRY_SECONDS", "1 x"),
        ("API_INTEGRATION_SECONDS", "31"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError) as raised:
        Settings.read({name: value})
    assert name in str(raised.value)
    assert repr(value) in str(raised.value)


def test_defaults_are_awss() -> None:
    settings = Settings.read({})
    assert settings.event_pauses == (60.0, 120.0)
    assert settings.event_age == 6 * 3600
    assert settings.integration == 30
