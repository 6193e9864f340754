"""Copies of the stack with outside servers that misbehave when a test asks for it: sources, webhook receivers, a
model's endpoint.
"""

from harness.world_fixtures import *  # noqa: F403
