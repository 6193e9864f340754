"""One copy of the stack for everything that is damaged."""

from harness.fixtures import *  # noqa: F403
