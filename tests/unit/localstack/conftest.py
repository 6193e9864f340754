"""A provider over a directory of the test's own, opened and left as a process would."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from localstack.services.s3.models import s3_stores
from process import Process


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Process]]:
    """Starts a process; those before it are dead."""
    # LocalStack loads the provider by itself, from these settings, where it looks at the health of S3.
    monkeypatch.setenv("S3_DURABLE_DIR", str(tmp_path / "localstack-s-own"))
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
