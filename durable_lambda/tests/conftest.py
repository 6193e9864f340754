"""The library's tests run as a small application of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable_lambda.application import FOLDER_VARIABLE, application

PYPROJECT = """
[tool.durable-lambda]
name = "letters"
promise-prefix = "letter/"

[tool.durable-lambda.submit]
call = "POST /letters"
body = { letterId = "{id}", pages = 2 }
"""


@pytest.fixture
def pyproject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Writes the running application's pyproject.toml."""

    def write(text: str) -> Path:
        file = tmp_path / "pyproject.toml"
        file.write_text(text)
        application.cache_clear()
        return file

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    write(PYPROJECT)
    yield write
    application.cache_clear()
