"""An application in its own folder moves to another version of the stack while some of its jobs wait."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clone import Clone, cloned
from harness.engine import docker
from harness.machine import ROOT
from harness.waiting import wait_for
from integration.apps import orders

pytestmark = pytest.mark.timeout(1200)
#: Version 0.1.0, under which an application lay in the stack's own folders.
BEFORE_APPLICATIONS = "dd1134e"
VERSION = "durable_lambda/src/durable_lambda/__init__.py"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Clone]:
    """The clone of the stack as it is now."""
    with cloned(tmp_path / "here") as clone:
        yield clone


def up(clone: Clone, *arguments: str, **settings: str) -> str:
    done = clone.make("up", *arguments, **settings)
    assert done.returncode == 0, done.stdout
    return done.stdout


def task(clone: Clone, promise: str) -> str:
    """The state of a root promise's task: suspended while it waits."""
    return str(clone.resonate("task.get", id=promise)["data"]["task"]["state"])


def test_jobs_that_wait_go_on_under_the_next_version(here: Clone, tmp_path: Path) -> None:
    # GIVEN an application of its own, and an order that waits for a person
    folder = orders.write(tmp_path / "orders")
    up(here, f"APP={folder}")
    with here.api() as api:
        order = {"orderId": "order-1", "item": "lamp", "ask": True}
        assert api.post("/orders", json=order).status_code == 202
    wait_for(lambda: task(here, "order/order-1") == "suspended", "the order to wait")
    # WHEN the stack moves to a version with another library version, which has an additional dependency
    with cloned(tmp_path / "next", here.project) as there:
        version = there.folder / VERSION
        text = version.read_text()
        version.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.1.0"', text))
        library = there.folder / "durable_lambda/pyproject.toml"
        needs = '    "resonate-sdk==0.8.1",'
        assert needs in library.read_text()
        library.write_text(library.read_text().replace(needs, f'    "typing-inspection>=0.4",\n{needs}'))
        said = up(there, f"APP={folder}")
        # THEN its lock files are updated for the library, and the output says so
        assert "requirements-worker.lock" in said
        assert re.search(
            r"^typing-inspection==", (folder / "requirements-function.lock").read_text(), re.MULTILINE
        )
        (worker,) = there.containers("worker")
        which = docker("exec", worker, "python", "-c", "import durable_lambda as d; print(d.__version__)")
        assert which.strip() == "99.1.0"
        # AND the order still waits, and continues from there: finished steps do not run again
        assert task(there, "order/order-1") == "suspended"
        question = orders.QUESTION.format(order_id="order-1")
        answer = there.resonate(
            "promise.settle", id=question, state="resolved", value={"headers": {}, "data": "bnVsbA=="}
        )
        assert answer["head"]["status"] == 200, answer
        with there.api() as api:
            wait_for(
                lambda: api.get("/orders/order-1").json()["status"] == "done", "the order to be done", 60
            )
            assert api.get("/orders/order-1").json()["result"]["parcel"] == "a lamp from the shelf of lamps"
        said = docker("logs", worker)
        assert '"step": "reserve"' not in said
        assert '"step": "pack"' in said


def test_jobs_of_version_0_1_go_on_as_jobs_of_apps_documents(here: Clone, tmp_path: Path) -> None:
    # GIVEN the documents of version 0.1.0, one that is done and one that waits for a person
    old = Clone(tmp_path / "old", here.project)
    old.folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", BEFORE_APPLICATIONS], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip(f"this clone's history does not reach back to {BEFORE_APPLICATIONS}")
    subprocess.run(["tar", "-x"], cwd=old.folder, input=archive.stdout, check=True)
    up(old, STACK_IMAGES=f"{here.project}-old")
    document = {"documentUrl": "s3://documents/contract.pdf", "requesterId": "ada", "type": "contract"}
    with old.api() as api:
        for job, approval in (("done", False), ("waiting", True)):
            body = document | {"jobId": job, "requiresApproval": approval}
            assert api.post("/process-document", json=body).status_code == 202
        wait_for(lambda: api.get("/status/done").json()["status"] == "done", "a job to be done", 90)
        wait_for(
            lambda: api.get("/status/waiting").json()["status"] == "awaiting_approval", "a job to wait", 90
        )
        before = api.get("/status/done").json()
    # WHEN this version is started over the same volumes
    up(here)
    with here.api() as api:
        # THEN what was done is as it was
        assert api.get("/status/done").json() == before
        assert api.get("/status/waiting").json()["status"] == "awaiting_approval"
        # AND the waiting job continues
        verdict = {"approved": True, "approver": "bob"}
        assert api.post("/approve/waiting", json=verdict).status_code == 200
        wait_for(
            lambda: api.get("/status/waiting").json()["status"] == "done", "the waiting job to be done", 90
        )
