"""A copy of the stack beside a world that misbehaves on order."""

from pathlib import Path

import pytest

from harness.fixtures import MakeStack
from harness.stack import Stack
from harness.world import FILES, World, open_folder


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the worker's user may write."""
    return open_folder(tmp_path_factory.mktemp("crashes"))


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Settings of the module's copy; a module overrides this."""
    return {}


@pytest.fixture(scope="module")
def stack(make_module_stack: MakeStack, settings: dict[str, str], crashes: Path) -> Stack:
    return make_module_stack(env={"CRASH_FOLDER": str(crashes), **settings}, files=FILES)


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    return World(stack)
