"""One copy of the stack that receives all damaged inputs."""

from harness.fixtures import *  # noqa: F403
