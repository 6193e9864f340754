"""Two clones under one project name: each runs its own code, however often they take turns."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clone import Clone, cloned
from harness.engine import docker

pytestmark = pytest.mark.timeout(900)
APP = "apps/expenses"
#: A call that its function answers.
EVENT = {"httpMethod": "GET", "path": "/expenses/none"}
#: Appended to a function, so that its answers tell which clone it belongs to.
MARKED = """

_unmarked = lambda_handler


def lambda_handler(event, context=None):
    answer = _unmarked(event, context)
    return {**answer, "headers": {**(answer.get("headers") or {}), "x-clone": "second"}}
"""


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[tuple[Clone, Clone]]:
    """Two clones with the same project name; function and gateway of the second are edited."""
    with cloned(tmp_path / "first") as first, cloned(tmp_path / "second", first.project) as second:
        with (second.folder / APP / "lambda_function.py").open("a") as function:
            function.write(MARKED)
        with (second.folder / "images/gateway/gateway/__main__.py").open("r+") as gateway:
            text = gateway.read()
            assert "\nimport " in text
            gateway.seek(0)
            gateway.write(text.replace("\nimport ", '\nprint("the second gateway", flush=True)\nimport ', 1))
        yield first, second


def whose(clone: Clone) -> tuple[str, str]:
    """Which clone's function and gateway are running."""
    answer = clone.invoke(EVENT)
    assert answer.status_code == 200, answer.text
    function = (answer.json().get("headers") or {}).get("x-clone", "first")
    said = docker("logs", *clone.containers("gateway"))
    return function, "second" if "the second gateway" in said else "first"


def test_each_make_up_runs_the_clone_s_own_code(clones: tuple[Clone, Clone]) -> None:
    first, second = clones
    for clone, name in ((first, "first"), (second, "second"), (first, "first"), (second, "second")):
        up = clone.make("up", f"APP={APP}")
        assert up.returncode == 0, up.stdout
        assert whose(clone) == (name, name), up.stdout
