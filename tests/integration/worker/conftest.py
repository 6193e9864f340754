"""Workers of apps/documents, with outside servers that misbehave when a test asks for it; the workers die or stop when
a test asks for it.
"""

from harness.world_fixtures import *  # noqa: F403
