"""Copies of the stack, started by the tests' harness with their own project name, ports and volumes."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.core.containers import RUN
from harness.machine import found_on_this_machine
from harness.stack import Stack


@contextmanager
def stack(**settings: str) -> Iterator[Stack]:
    """A running copy of the stack with these settings; it is removed with its volumes at the end of the block."""
    own = {"RESONATE_TARGET": "embedded", "HEALTH_CHECKS": found_on_this_machine()["HEALTH_CHECKS"]}
    with Stack(RUN, env=own | settings) as running:
        yield running
