"""The official server on PostgreSQL: jobs survive kill -9 of either of them, and of both."""

import os
import subprocess
from pathlib import Path

import pytest

from chaos.account import Account
from harness.documents import job, wait_until
from harness.fixtures import MakeStack, needs_official_server
from harness.machine import ROOT, found_on_this_machine
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import FILES, World, open_folder

pytestmark = needs_official_server
#: Seconds until everything has ended, on a machine that is busy with other things.
PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_folder(tmp_path_factory.mktemp("crashes"))


@pytest.fixture(scope="module")
def stack(make_module_stack: MakeStack, crashes: Path) -> Stack:
    """The stack as make up RESONATE_STORE=postgres starts it."""
    store = {"RESONATE_STORE": "postgres"}
    for verb in ("bin/setup", "bin/build"):
        done = subprocess.run(
            [verb], cwd=ROOT, env=os.environ | store, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    store |= {"COMPOSE_PROFILES": "postgres", "POSTGRES_TARGET": found_on_this_machine()["POSTGRES_TARGET"]}
    return make_module_stack(env={**store, "CRASH_FOLDER": str(crashes)}, files=FILES)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victims", [("postgres",), ("server",), ("server", "postgres")], ids="+".join)
def test_jobs_outlive_what_holds_them(stack: Stack, crashes: Path, victims: tuple[str, ...]) -> None:
    # GIVEN a job in the middle of a step, one that waits for a person, and one that is done
    account = Account(stack, World(stack))
    held = account.submit(jobId=f"hold-store_results-middle-{'-'.join(victims)}")
    waiting, done = account.submit(requiresApproval=True), account.submit()
    wait_for(lambda: (crashes / held).exists(), "the job to be in the middle of its step", PATIENCE_SECONDS)
    wait_until(stack, waiting, "awaiting_approval", seconds=PATIENCE_SECONDS)
    wait_until(stack, done, "done", seconds=PATIENCE_SECONDS)
    # WHEN the services that store them are killed
    for service in victims:
        stack.kill(service)
    # THEN new jobs are refused with an explanation and Retry-After, and are not half-recorded
    body = job()
    refused = stack.api.post("/process-document", json=body)
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]["code"] == "server_unavailable"
    # WHEN the services are back
    stack.start(*reversed(victims))
    # THEN everything continues, and so does the refused job once it is sent again
    account.bodies[body["jobId"]] = body
    account.send_all_refused(PATIENCE_SECONDS)
    (crashes / f"{held}.go").touch()
    account.approve(waiting, PATIENCE_SECONDS)
    account.check(account.settle(PATIENCE_SECONDS))
    assert account.errors == []
