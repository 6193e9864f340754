"""Copies of the stack with only the gateway and its environments, which run the probe functions."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.stack import Stack
from integration.gateway.invoking import PROBE, PROBE_SETTINGS, invoke


@pytest.fixture(scope="module")
def make_probe(make_module_stack: Callable[..., Stack]) -> Callable[..., Stack]:
    """Starts gateway and environments with settings of their own: make_probe(LAMBDA_FREEZE="off")."""

    def make(**settings: Any) -> Stack:
        return make_module_stack(env=PROBE_SETTINGS | settings, files=[PROBE], services=["gateway"])

    return make


@pytest.fixture(scope="module")
def probe(make_probe: Callable[..., Stack]) -> Stack:
    """One environment, shared by a module's tests."""
    stack = make_probe()
    invoke(stack, {"do": "state"})
    return stack
