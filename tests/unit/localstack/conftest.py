"""A provider over a directory of the test's own, opened and left as a process would."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from localstack.services.s3.models import s3_stores
from process import Process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a process; those before it are dead."""
    alive: list[Process] = []

    def begin(**options: Any) -> Process:
        while alive:
            alive.pop().die()
        alive.append(Process(tmp_path / "s3", **options))
        return alive[-1]

    yield begin
    while alive:
        alive.pop().die()
    s3_stores.reset()
