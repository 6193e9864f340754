"""The session's copy of the stack, and the logs that matter when a test fails."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.fixtures import (
    MakeStack,
    begin,
    make_clone,
    make_module_stack,
    make_stack,
    pytest_runtest_makereport,
)
from harness.stack import Stack

__all__ = ["MakeStack", "make_clone", "make_module_stack", "make_stack", "pytest_runtest_makereport", "stack"]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The copy of the stack that the tests share. A test that breaks a service mends it before it ends."""
    with ExitStack() as life:
        # A machine that runs tests is busy: requests may wait longer for an environment than a client would.
        yield begin(life, env={"LAMBDA_BURST_SECONDS": "20"})
