"""Trouble with the machine: full disks, a clock that jumps, little memory, a start that is interrupted.

Each ends with a message that says what is wrong, and with every accepted job as it would have ended otherwise.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from chaos.account import Account
from chaos.faketime import library, set_clock
from harness.clone import Clone
from harness.documents import accepted, job, status, step, submit, wait_until
from harness.engine import docker, inspect
from harness.fixtures import MakeClone, MakeStack
from harness.report import SHORT
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import FILES, World, open_folder

pytestmark = pytest.mark.skipif(SHORT, reason="make chaos")
SEED = int(os.environ.get("CHAOS_SEED", "1"))
#: How many seconds anything may take here: enough on a machine under load, and far less than the hour by which a clock
#: jumps.
PATIENCE_SECONDS = 180
#: The volumes of compose.yaml, and the service each belongs to.
VOLUMES = {"server": "server", "localstack": "s3", "gateway": "gateway"}
INVOCATIONS = "/2015-03-31/functions/function/invocations"


def settle(account: Account, seconds: float = PATIENCE_SECONDS) -> None:
    """Send again what was refused, and check that everything ends well, with each effect once."""
    account.send_all_refused(seconds)
    account.check(account.settle(seconds))
    assert account.errors == []


def accept(account: Account, **fields: object) -> str:
    """A job that is accepted, perhaps not at the first try (a machine under load also refuses); earlier refusals are
    not counted.
    """
    job_id = account.submit(**fields)
    account.send_all_refused(PATIENCE_SECONDS)
    account.refusals.clear()
    return job_id


# ---------------------------------------------------------------- full disks


@pytest.fixture(scope="module")
def small_disks(make_module_stack: MakeStack) -> Stack:
    """A copy whose volumes hold 48 MB each."""
    return make_module_stack(
        files=["tests/chaos/small-disks.yaml"],
        env={"STEP_RETRY_SECONDS": "1,1,2,2,5,5,5,5,5,5,5,5,5,5"},
    )


@contextmanager
def full(stack: Stack, service: str) -> Iterator[None]:
    """Fill the service's volume to the last byte; `keeper` writes to it from outside, as another program on the same
    disk would.
    """
    (keeper,) = stack.containers("keeper")
    ballast = f"/volumes/{VOLUMES[service]}/ballast"
    docker("exec", keeper, "sh", "-c", f"cat /dev/zero > {ballast} || true")
    try:
        yield
    finally:
        docker("exec", keeper, "rm", "-f", ballast)


def test_full_disk_of_the_server_refuses_new_jobs_and_loses_none(small_disks: Stack) -> None:
    stack, account = small_disks, Account(small_disks)
    waiting = accept(account, requiresApproval=True)
    wait_until(stack, waiting, "awaiting_approval", seconds=PATIENCE_SECONDS)
    since = time.time()
    with full(stack, "server"):
        # The server may still have free pages in its file; it runs out of space soon after.
        def refused() -> bool:
            account.submit()
            return bool(account.refusals)

        wait_for(refused, "a job to be refused", 60)
        assert set(account.refusals) <= {"503", "500"}, account.refusals
        # A status call needs no disk space.
        assert status(stack, waiting)["status"] == "awaiting_approval"
        wait_for(
            lambda: "full" in stack.logs("server", since=since - 1), "the server to say that the disk is full"
        )
    account.approve(waiting, PATIENCE_SECONDS)
    settle(account)


def test_full_disk_of_s3_holds_jobs_up_and_loses_none(small_disks: Stack) -> None:
    stack, account = small_disks, Account(small_disks)
    since = time.time()
    with full(stack, "localstack"):
        ids = [accept(account) for _ in range(4)]

        def held_up() -> bool:
            tries = [
                step(status(stack, job_id), "download_document").get("lastError") or {} for job_id in ids
            ]
            return all(error.get("code") == "storage_unavailable" for error in tries)

        wait_for(held_up, "the first step to be tried again", PATIENCE_SECONDS)
        wait_for(
            lambda: (
                "No space left" in stack.logs("localstack", since=since - 1)
                or "full" in stack.logs("localstack", since=since - 1)
            ),
            "S3 to say that the disk is full",
        )
    settle(account)


def test_full_disk_of_the_gateway_refuses_events_and_loses_none(small_disks: Stack) -> None:
    """An asynchronous invocation is accepted (202) only once it is on the disk."""
    stack, account = small_disks, Account(small_disks)

    def invoke(body: dict[str, str]) -> int:
        event = {"version": "2.0", "rawPath": "/process-document", "body": json.dumps(body)}
        event["requestContext"] = {"http": {"method": "POST", "path": "/process-document"}}  # type: ignore[assignment]
        answer = account.api.post(
            stack.lambda_url + INVOCATIONS, json=event, headers={"X-Amz-Invocation-Type": "Event"}
        )
        if answer.status_code == 202:
            account.bodies[body["jobId"]] = body
            account.accepted[body["jobId"]] = time.time()
        else:
            assert answer.status_code in (500, 503), answer.text
            assert answer.json(), answer.text
        return answer.status_code

    since = time.time()
    with full(stack, "gateway"):
        wait_for(lambda: invoke(job()) != 202, "an event to be refused", 60)
        # Calls that need no disk still work.
        account.submit()
        assert not account.refusals
        wait_for(
            lambda: "full" in stack.logs("gateway", since=since - 1),
            "the gateway to say that the disk is full",
        )
    assert invoke(job()) == 202
    for job_id in account.accepted:
        wait_for(lambda j=job_id: stack.api.get(f"/status/{j}").status_code == 200, f"{job_id} to be known", 60)  # type: ignore[misc] # fmt: skip
    settle(account)


# ---------------------------------------------------------------- the clock


@pytest.mark.parametrize("hours", [1, -1])
def test_clock_jumps_an_hour(make_stack: MakeStack, tmp_path: Path, hours: int) -> None:
    """The clock jumps on every service at once, in the middle of a step; then the worker is killed, and its lease must
    still expire.
    """
    faketime = library()
    if faketime is None:
        pytest.skip("libfaketime is not here, and apt-get cannot download it")
    clock, crashes = open_folder(tmp_path), tmp_path / "crashes"
    crashes.mkdir()
    crashes.chmod(0o777)
    set_clock(clock, 0)
    stack = make_stack(
        files=[*FILES, "tests/chaos/faketime.yaml"],
        env={"CRASH_FOLDER": str(crashes), "FAKETIME_LIBRARY": str(faketime), "FAKETIME_FOLDER": str(clock)},
    )
    account = Account(stack, World(stack))
    names = [
        f"hold-{point}-{n}" for point in ("download_document-middle", "store_results-after") for n in "ab"
    ]
    for name in names:
        accept(account, jobId=name)
    waiting = accept(account, requiresApproval=True)
    wait_until(stack, waiting, "awaiting_approval", seconds=PATIENCE_SECONDS)
    wait_for(
        lambda: all((crashes / name).exists() for name in names),
        "the jobs to be in the middle of their steps",
        PATIENCE_SECONDS,
    )
    wanted = time.time() + 3600 * hours
    set_clock(clock, hours * 3600)
    # Every service uses the new time.
    for service in ("server", "worker", "localstack", "gateway", "lambda"):
        for container in stack.containers(service):
            said = docker("exec", container, "python", "-c", "import time; print(time.time())")
            assert abs(float(said) - wanted) < 60, (service, said)
    # Jobs continue, new ones are accepted, and the jobs of a worker that is killed now are free once its lease expires.
    for name in names[::2]:
        (crashes / f"{name}.go").touch()
    fresh = account.submit()
    stack.restart("worker")
    for name in names[1::2]:
        (crashes / f"{name}.go").touch()
    account.approve(waiting, PATIENCE_SECONDS)
    settle(account)
    recorded = datetime.fromisoformat(status(stack, fresh)["submittedAt"]).timestamp()
    assert abs(recorded - wanted) < 60, "the server uses another clock"


# ---------------------------------------------------------------- memory


def test_worker_out_of_memory_in_a_step_loses_nothing(make_stack: MakeStack, tmp_path: Path) -> None:
    crashes = open_folder(tmp_path)
    stack = make_stack(files=FILES, env={"CRASH_FOLDER": str(crashes), "WORKER_MEMORY_MB": "400"})
    account = Account(stack, World(stack))
    held = accept(account, jobId="hold-extract_text-middle-1")
    wait_for(lambda: (crashes / held).exists(), "the job to be in the middle of its step", PATIENCE_SECONDS)
    (worker,) = stack.containers("worker")
    started = inspect(worker)["State"]["StartedAt"]
    # WHEN the files in its /tmp (documents in progress) use up its memory limit
    subprocess.run(
        ["docker", "exec", worker, "dd", "if=/dev/zero", "of=/tmp/ballast", "bs=1M", "count=600"],
        capture_output=True, check=False,
    )  # fmt: skip
    # THEN the kernel kills it, and the engine starts it again
    wait_for(
        lambda: inspect(worker)["State"]["StartedAt"] != started, "the worker to be killed and started again"
    )
    (crashes / f"{held}.go").touch()
    settle(account)


# ---------------------------------------------------------------- two stacks


def test_two_stacks_side_by_side_know_nothing_of_each_other(make_stack: MakeStack) -> None:
    one, other = make_stack(), make_stack()
    body = job()
    for stack in (one, other):
        assert submit(stack, body).status_code == 202
        wait_until(stack, body["jobId"], "done")
    # Only the first one knows it:
    only = accepted(one)
    assert other.api.get(f"/status/{only}").status_code == 404
    # When one of them is removed with its volumes, the other continues.
    one.remove()
    wait_until(other, accepted(other), "done")
    assert status(other, body["jobId"])["status"] == "done"


# ---------------------------------------------------------------- make up, interrupted


@pytest.mark.timeout(900)
def test_make_up_cut_off_at_any_moment_is_run_again(make_clone: MakeClone) -> None:
    clone = make_clone()
    chance = random.Random(SEED)
    up = clone.make("up")
    assert up.returncode == 0, up.stdout
    job_id = submitted(clone)
    for number in range(8):
        if number % 2:
            assert clone.make("down").returncode == 0
        # All of its processes at once, as with Ctrl-C or a power failure.
        how = chance.choice([signal.SIGINT, signal.SIGKILL])
        moment = chance.uniform(0.1, 8)
        cut_off(clone, how, moment)
        up = clone.make("up")
        assert up.returncode == 0, f"seed {SEED}, {how.name} after {moment:.2f} s:\n{up.stdout}"
        assert json.loads(asked(clone, f"/status/{job_id}"))["status"] == "done"
        litter = [path.name for path in clone.folder.iterdir() if path.name.startswith(".env.")]
        assert litter == [".env.example"], litter


def cut_off(clone: Clone, how: signal.Signals, after: float) -> None:
    started = clone.begin("make", "up")
    try:
        started.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, how)
    started.wait(60)


def submitted(clone: Clone) -> str:
    """A job that is done."""
    said = clone.make("submit")
    assert said.returncode == 0, said.stdout
    found = [line for line in said.stdout.splitlines() if '"jobId"' in line]
    return str(json.loads("{" + found[-1].strip().rstrip(",") + "}")["jobId"])


def asked(clone: Clone, path: str) -> str:
    address = clone.run("docker", "compose", "port", "gateway", "8080").stdout.strip()
    return clone.run("curl", "-s", f"http://{address}{path}").stdout
