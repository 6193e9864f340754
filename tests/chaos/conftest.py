"""Copies of the stack with room for many jobs at once, beside a world that hears their webhooks."""

from harness.fixtures import *  # noqa: F403
