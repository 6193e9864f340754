"""pytest's side of the harness: copies of the stack for a test or a module, and the logs when one fails.

A tier's conftest.py imports what it uses from here.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.clone import Clone
from harness.stack import PORTS, Stack, found_on_this_machine, project_prefix

MakeStack = Callable[..., Stack]
MakeClone = Callable[[], Clone]

# Settings of the person's shell are for their own stack, not for the tests' copies.
for _name in (*PORTS, "COMPOSE_PROJECT_NAME", "LAMBDA_CONCURRENCY", "WORKER_REPLICAS", "ANALYZER_MODEL",
              "RESONATE_STORE", "COMPOSE_PROFILES", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "PUSH_TO"):  # fmt: skip
    os.environ.pop(_name, None)

#: For what only the official server can do. PostgreSQL is one of these.
needs_official_server = pytest.mark.skipif(
    found_on_this_machine().get("RESONATE_TARGET") != "official",
    reason="the official Resonate server is not at hand here: RESONATE_SERVER=official RESONATE_IMAGE=… make itest",
)

_running: list[Stack] = []


def begin(life: ExitStack, **options: Any) -> Stack:
    """Start a copy that lasts as long as `life`."""
    stack = life.enter_context(Stack(project_prefix(), **options))
    _running.append(stack)
    life.callback(_running.remove, stack)
    return stack


@pytest.fixture
def make_stack() -> Iterator[MakeStack]:
    """Starts a further copy, gone after the test: make_stack(env={…}, files=[…], services=[…])."""
    with ExitStack() as life:
        yield lambda **options: begin(life, **options)


@pytest.fixture(scope="module")
def make_module_stack() -> Iterator[MakeStack]:
    """As `make_stack`, for all tests of a module."""
    with ExitStack() as life:
        yield lambda **options: begin(life, **options)


@pytest.fixture
def make_clone(tmp_path: Path) -> Iterator[MakeClone]:
    """Makes a clone of its own stack's name; its stack is gone after the test."""
    made: list[Clone] = []

    def make() -> Clone:
        clone = Clone(tmp_path / f"clone-{len(made) + 1}")
        made.append(clone)
        clone.fill()
        return clone

    yield make
    for clone in made:
        clone.make("reset")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed and call.when in ("setup", "call"):
        # Only what was said while this test ran.
        since = time.time() - call.duration - 1
        for running in _running:
            report.sections.append(
                (f"the services of {running.project} meanwhile", running.report(since=since))
            )
    return report
