"""The stack's own tests: copies that run apps/documents, and the logs that matter when a test fails."""

from harness.fixtures import *  # noqa: F403
