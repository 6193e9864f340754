"""Copies of the stack with room for many jobs at once, and a container that receives their webhooks."""

from harness.fixtures import *  # noqa: F403
