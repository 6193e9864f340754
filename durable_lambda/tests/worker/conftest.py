"""The tests' own application, whose prefix of promise ids is `doc/`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from durable_lambda.application import FOLDER_VARIABLE, application


@pytest.fixture(autouse=True)
def tests_application(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(FOLDER_VARIABLE, str(Path(__file__).parent / "application"))
    application.cache_clear()
    yield
    application.cache_clear()
