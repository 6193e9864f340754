"""Copies of the stack with room for many jobs at once, beside a world that hears their webhooks."""

from harness.fixtures import make_clone, make_module_stack, make_stack, pytest_runtest_makereport

__all__ = ["make_clone", "make_module_stack", "make_stack", "pytest_runtest_makereport"]
