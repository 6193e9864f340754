"""Copies of the stack beside a world that misbehaves on order: sources, receivers of webhooks, a model's endpoint."""

from harness.world_fixtures import *  # noqa: F403
