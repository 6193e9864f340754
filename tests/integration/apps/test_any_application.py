"""An application of three files, in a folder outside of the repository, from `make up` to its package for AWS."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.clone import Clone, cloned
from harness.engine import docker
from harness.packages import digests, unpacked
from harness.waiting import wait_for
from integration.apps import orders

pytestmark = pytest.mark.timeout(900)
LOCKS = ("requirements-function.lock", "requirements-worker.lock")


@dataclass
class Running:
    """The application in `folder`, which a clone of the stack runs; `said` is the output of `make up`."""

    clone: Clone
    folder: Path
    said: str

    def make(self, verb: str, **settings: str) -> str:
        """Run a Makefile target for the application, which must succeed; returns its output."""
        done = self.clone.make(verb, f"APP={self.folder}", **settings)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def logs(self) -> list[dict[str, Any]]:
        """The workers' log, line by line; a restart of the container does not remove it."""
        said = "".join(docker("logs", container) for container in self.clone.containers("worker"))
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    def begun(self, order_id: str, step: str) -> int:
        """How often a worker has begun that step of that order."""
        wanted = {"event": "step begun", "job": order_id, "step": step}.items()
        return sum(wanted <= line.items() for line in self.logs())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = orders.write(tmp_path_factory.mktemp("elsewhere") / "orders")
    with cloned(tmp_path_factory.mktemp("stack") / "clone") as clone:
        up = clone.make("up", f"APP={folder}")
        assert up.returncode == 0, up.stdout
        yield Running(clone, folder, up.stdout)


@pytest.fixture
def api(running: Running) -> Iterator[httpx.Client]:
    with running.clone.api() as client:
        yield client


def submitted(api: httpx.Client, **fields: Any) -> str:
    order = {"orderId": f"order-{uuid.uuid4().hex[:8]}", "item": "lamp"} | fields
    answer = api.post("/orders", json=order)
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted"), answer.text
    return str(order["orderId"])


def done(api: httpx.Client, order_id: str) -> None:
    def probe() -> bool:
        answer = api.get(f"/orders/{order_id}")
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["status"] == "done")

    wait_for(probe, f"{order_id} to be done", 90)
    assert api.get(f"/orders/{order_id}").json()["result"] == {"parcel": "a lamp from the shelf of lamps"}


def test_lock_files_that_are_missing_are_made_and_that_is_said(running: Running) -> None:
    for name in LOCKS:
        text = (running.folder / name).read_text()
        assert name in running.said
        # With hashes, without the address of an index; the library itself comes from the clone.
        assert "resonate-sdk==0.8.1" in text
        assert "--hash=sha256:" in text
        assert "://" not in "".join(
            line for line in text.splitlines(True) if not line.lstrip().startswith("#")
        )
        assert not [line for line in text.splitlines() if line.startswith("durable-lambda")]
    assert "pydantic-settings==" in (running.folder / LOCKS[1]).read_text()
    assert "pydantic-settings==" not in (running.folder / LOCKS[0]).read_text()


def test_nothing_else_is_written_into_the_folder(running: Running) -> None:
    assert sorted(path.name for path in running.folder.iterdir()) == sorted(
        ["lambda_function.py", "pyproject.toml", "worker.py", *LOCKS]
    )


def test_without_openapi_yaml_every_path_and_method_reaches_the_function(api: httpx.Client) -> None:
    for method, path in (("GET", "/"), ("PUT", "/a/b/c"), ("DELETE", "/orders/1/lines/2"), ("PATCH", "/x")):
        answer = api.request(method, path, params={"q": "1"})
        # This is the function's own answer: the gateway's 404 has a `message` field and no `error`.
        assert (answer.status_code, answer.json()) == (404, {"error": f"There is no call {method} {path}."})


def test_make_up_prints_a_call_to_try_and_make_submit_follows_one(running: Running) -> None:
    assert "/orders" in running.said.partition("Try")[2]
    said = running.make("submit")
    assert "POST /orders" in said
    assert "a lamp from the shelf of lamps" in said


def test_an_order_survives_kill_9_of_its_worker_in_a_step(running: Running, api: httpx.Client) -> None:
    order_id = submitted(api)
    wait_for(lambda: running.begun(order_id, "pack"), "the order to be packed")
    (worker,) = running.clone.containers("worker")
    docker("kill", "--signal", "KILL", worker)
    assert api.get(f"/orders/{order_id}").json()["status"] == "processing"
    docker("start", worker)
    done(api, order_id)
    # The step in which the worker died ran again; the one before did not.
    assert (running.begun(order_id, "reserve"), running.begun(order_id, "pack")) == (1, 2)


def test_the_same_order_twice_is_one(running: Running, api: httpx.Client) -> None:
    order_id = submitted(api)
    assert submitted(api, orderId=order_id) == order_id
    done(api, order_id)
    assert running.begun(order_id, "pack") == 1


def test_a_setting_of_the_application_is_given_like_one_of_the_stack(running: Running) -> None:
    running.make("up", PACK_SECONDS="0.5")
    (worker,) = running.clone.containers("worker")
    assert docker("exec", worker, "printenv", "PACK_SECONDS").strip() == "0.5"


def test_it_is_packaged_and_runs_from_its_zip(running: Running) -> None:
    running.make("package")
    (package,) = (running.clone.folder / "dist").rglob("lambda-package.zip")
    inside = digests(package)
    assert {
        "lambda_function.py",
        "pyproject.toml",
        "durable_lambda/__init__.py",
        "resonate/__init__.py",
    } <= set(inside)
    assert "worker.py" not in inside
    running.make("up", LAMBDA_FROM="zip")
    for container in running.clone.containers("lambda"):
        assert unpacked(container, "/var/task") == inside
    with running.clone.api() as api:
        done(api, submitted(api))
    running.make("up")


def test_with_auth_on_it_asks_for_a_token_and_works(running: Running) -> None:
    running.make("up", AUTH="on")
    try:
        token = running.clone.make("-s", "token", "WHO=ada", AUTH="on").stdout.strip()
        with running.clone.api() as api:
            assert api.get("/orders/none").status_code == 401
            api.headers["authorization"] = f"Bearer {token}"
            done(api, submitted(api))
    finally:
        running.make("up")
