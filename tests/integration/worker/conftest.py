"""Workers of apps/documents beside a world that misbehaves on order; they die or stand still on order."""

from harness.world_fixtures import *  # noqa: F403
