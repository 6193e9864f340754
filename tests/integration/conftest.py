"""The session's copy of the stack, and the logs that matter when a test fails."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from harness.stack import PORTS, Stack, project_prefix

MakeStack = Callable[..., Stack]

# Settings of the person's shell are for their own stack, not for the tests' copies.
for _name in (*PORTS, "COMPOSE_PROJECT_NAME", "LAMBDA_CONCURRENCY", "WORKER_REPLICAS", "ANALYZER_MODEL"):
    os.environ.pop(_name, None)

_running: list[Stack] = []


def _start(life: ExitStack, **options: Any) -> Stack:
    stack = life.enter_context(Stack(project_prefix(), **options))
    _running.append(stack)
    life.callback(_running.remove, stack)
    return stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The copy of the stack that the tests share. A test that breaks a service mends it before it ends."""
    with ExitStack() as life:
        # A machine that runs tests is busy: requests may wait longer for an environment than a client would.
        yield _start(life, env={"LAMBDA_BURST_SECONDS": "20"})


@pytest.fixture
def make_stack() -> Iterator[MakeStack]:
    """Starts a further copy, gone after the test: make_stack(env={…}, files=[…], services=[…])."""
    with ExitStack() as life:
        yield lambda **options: _start(life, **options)


@pytest.fixture(scope="module")
def make_module_stack() -> Iterator[MakeStack]:
    """As `make_stack`, for all tests of a module."""
    with ExitStack() as life:
        yield lambda **options: _start(life, **options)


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
