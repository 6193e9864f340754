"""An application's folder to spoil, in the image that reads it."""

from pathlib import Path

import pytest

PROJECT = """\
[project]
name = "Plain_Thing"
version = "0.1.0"
dependencies = []

[dependency-groups]
function = ["durable-lambda[function]>=0.1"]
worker = ["resonate-sdk==0.8.1"]

[tool.durable-lambda]
name = "plain"
"""


class Application:
    """A folder that is in order, until a test changes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("lambda_function.py", "def lambda_handler(event, context): ...\n")
        self.write("worker.py", "")
        self.write("pyproject.toml", PROJECT)

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def declare(self, text: str) -> None:
        """Add to [tool.durable-lambda] and what follows it."""
        self.write("pyproject.toml", PROJECT + text)


@pytest.fixture
def application(tmp_path: Path) -> Application:
    folder = tmp_path / "application"
    folder.mkdir()
    return Application(folder)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The library's folder, as small as can be."""
    folder = tmp_path / "library"
    (folder / "src/durable_lambda").mkdir(parents=True)
    (folder / "src/durable_lambda/__init__.py").write_text('__version__ = "0.1.0"\n')
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "durable-lambda"\ndependencies = ["pydantic"]\n'
    )
    return folder
