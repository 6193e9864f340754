"""One copy of the stack for all that is damaged."""

from integration.conftest import make_stack, pytest_runtest_makereport, stack

__all__ = ["make_stack", "pytest_runtest_makereport", "stack"]
