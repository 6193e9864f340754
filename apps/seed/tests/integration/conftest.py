"""Copies of the stack that run this application; see tests/README.md of the repository."""

from harness.fixtures import *  # noqa: F403
