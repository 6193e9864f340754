"""pytest's side of the harness: copies of the stack for a test, a module or a session, and their logs when a test fails.

The conftest.py of a folder of integration tests imports everything with one line, in an application as in the stack:

    from harness.fixtures import *  # noqa: F403
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harness.application import application_of
from harness.clone import Clone, cloned
from harness.machine import image_prefix, official_server, project_prefix
from harness.stack import PORTS, Stack

__all__ = [
    "application", "make_clone", "make_module_stack", "make_stack", "pytest_runtest_makereport", "session_stacks", "stack",
]  # fmt: skip

MakeStack = Callable[..., Stack]
MakeClone = Callable[[], Clone]

# Settings in the user's shell are for the user's own stack, not for the tests' copies.
for _name in (*PORTS, "COMPOSE_PROJECT_NAME", "LAMBDA_CONCURRENCY", "WORKER_REPLICAS", "ANALYZER_MODEL", "APP",
              "RESONATE_STORE", "COMPOSE_PROFILES", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "PUSH_TO"):  # fmt: skip
    os.environ.pop(_name, None)
# Makefile targets that a test runs here use the same images as the copies.
os.environ["STACK_IMAGES"] = image_prefix()

#: For tests that need the official server, for example on PostgreSQL.
needs_official_server = pytest.mark.skipif(
    not official_server(),
    reason="the official Resonate server is not here; run RESONATE_SERVER=official RESONATE_IMAGE=… make itest",
)

_running: list[Stack] = []


def begin(life: ExitStack, **options: Any) -> Stack:
    """Start a copy that lasts as long as `life`."""
    stack = life.enter_context(Stack(project_prefix(), **options))
    _running.append(stack)
    life.callback(_running.remove, stack)
    return stack


@pytest.fixture(scope="module")
def application(request: pytest.FixtureRequest) -> str:
    """The application that a module's copies of the stack run: the one whose tests these are (`application_of`)."""
    return application_of(request.path)


@pytest.fixture(scope="session")
def session_stacks() -> Iterator[Callable[[str], Stack]]:
    """For each application, the copy that the whole session shares; it starts when it is first used."""
    with ExitStack() as life:
        started: dict[str, Stack] = {}

        def copy(app: str) -> Stack:
            if app not in started:
                # A machine that runs tests is busy, so requests may wait longer for an environment than usual.
                started[app] = begin(life, app=app, env={"LAMBDA_BURST_SECONDS": "20"})
            return started[app]

        yield copy


@pytest.fixture(scope="module")
def stack(session_stacks: Callable[[str], Stack], application: str) -> Stack:
    """The copy of the stack that tests share. A test that breaks a service repairs it before it ends."""
    return session_stacks(application)


@pytest.fixture
def make_stack(application: str) -> Iterator[MakeStack]:
    """Starts another copy, which is removed after the test: make_stack(env={…}, files=[…], services=[…], app=…)."""
    with ExitStack() as life:
        yield lambda **options: begin(life, **{"app": application, **options})


@pytest.fixture(scope="module")
def make_module_stack(application: str) -> Iterator[MakeStack]:
    """As `make_stack`, for all tests of a module."""
    with ExitStack() as life:
        yield lambda **options: begin(life, **{"app": application, **options})


@pytest.fixture
def make_clone(tmp_path: Path) -> Iterator[MakeClone]:
    """Makes a clone of the repository with a project name of its own; its stack is removed after the test."""
    numbers = count(1)
    with ExitStack() as life:
        yield lambda: life.enter_context(cloned(tmp_path / f"clone-{next(numbers)}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """If a test fails, adds what the services logged during the test to its report."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        since = time.time() - call.duration - 1
        for running in _running:
            report.sections.append(
                (f"the services of {running.project} meanwhile", running.report(since=since))
            )
    return report
