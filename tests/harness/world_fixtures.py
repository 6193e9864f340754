"""pytest fixtures for tests with servers that misbehave when a test asks for it (harness/world.py).

A conftest.py takes all of them: `from harness.world_fixtures import *  # noqa: F403`. A module changes them by overriding
`settings` and `debug`.
"""

from pathlib import Path

import pytest
import trustme

from harness.fixtures import MakeStack
from harness.stack import Stack
from harness.world import FILES, World, open_folder

__all__ = ["crashes", "debug", "settings", "stack", "tls", "world"]


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the worker's user may write to."""
    return open_folder(tmp_path_factory.mktemp("crashes"))


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Settings of the module's copy; a module overrides this."""
    return {}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own certificate authority, the world's certificate from it, and one from an unknown authority."""
    folder = tmp_path_factory.mktemp("tls")
    trusted = trustme.CA()
    trusted.cert_pem.write_to_path(folder / "ca.pem")
    for name, authority in (("world", trusted), ("stranger", trustme.CA())):
        authority.issue_cert("world").private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    for path in (folder, folder.parent, folder.parent.parent, *folder.iterdir()):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def debug() -> bool:
    """Whether the server is in debug mode, for harness/clock.py; a module overrides this."""
    return False


@pytest.fixture(scope="module")
def stack(
    make_module_stack: MakeStack, settings: dict[str, str], crashes: Path, tls: Path, debug: bool
) -> Stack:
    """The module's copy of the stack, beside the world."""
    # A machine that runs tests is busy, so requests may wait longer for an environment than usual.
    env = {"CRASH_FOLDER": str(crashes), "TLS_FOLDER": str(tls), "LAMBDA_BURST_SECONDS": "20", **settings}
    return make_module_stack(env=env, files=FILES, debug=debug)


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    return World(stack)
