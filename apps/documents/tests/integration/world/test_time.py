"""Jobs that take minutes, days and years, with the server's clock moved (harness/clock.py says what that moves).

The settings are the ones a user gets: no shorter pauses, no other deadlines.
"""

import json
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from harness.clock import ServerClock, held
from harness.documents import accepted, runs_of, status, step, wait_until
from harness.stack import SERVICES, Stack
from harness.waiting import wait_for
from harness.world import World

# As documented in docs/workflow.md, in seconds.
STEP_PAUSES = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800]
WEBHOOK_PAUSES = [5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800]
YES = {"approved": True, "approver": "a.person"}


@pytest.fixture(scope="module")
def debug() -> bool:
    return True


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    # The worker's own defaults; the world's compose file makes the pauses short for other tests.
    return {
        "STEP_RETRY_SECONDS": ",".join(map(str, STEP_PAUSES)),
        "WEBHOOK_RETRY_SECONDS": ",".join(map(str, WEBHOOK_PAUSES)),
    }


@pytest.fixture(scope="module")
def clock(stack: Stack) -> ServerClock:
    return ServerClock(stack)


def through_pauses(
    stack: Stack, clock: ServerClock, job_id: str, name: str, pauses: list[int], *over: str
) -> dict[str, Any]:
    """Let a step fail and wait, moving the clock on by each pause; the last of its status."""
    for number, pause in enumerate(pauses, 1):

        def tried(number: int = number) -> dict[str, Any] | None:
            seen = step(status(stack, job_id), name)
            return seen if (seen["state"], seen.get("attempts")) == ("waiting", number) else None

        seen = wait_for(tried, f"try {number} of {name} to fail")
        assert seen is not None
        error = seen["lastError"]
        told = datetime.fromisoformat(error["nextTryAt"]) - datetime.fromisoformat(error["at"])
        assert told.total_seconds() == pytest.approx(pause, abs=0.01)
        clock.advance(timedelta(seconds=pause))
    return wait_until(stack, job_id, *over)


def test_a_job_of_more_than_a_quarter_of_an_hour_and_of_more_than_a_day_ends(
    stack: Stack, world: World, clock: ServerClock
) -> None:
    name = f"days-{uuid.uuid4().hex[:6]}"
    started, before = time.monotonic(), clock.passed
    # GIVEN a source that is down for 49 minutes, and a receiver that is for 16 hours
    url = world.document(name, b"Sales rose by 3 percent in June 2026. " * 9)
    world.plan(name, *["503"] * len(STEP_PAUSES))
    hook = world.hook(f"{name}-hook", "ok", *["503"] * len(WEBHOOK_PAUSES))
    job_id = accepted(stack, documentUrl=url, callbackUrl=hook, requiresApproval=True, type="report")
    # WHEN all of that passes, and two days until somebody says yes
    through_pauses(stack, clock, job_id, "download_document", STEP_PAUSES, "awaiting_approval")
    assert clock.passed - before > timedelta(minutes=15)
    clock.advance(timedelta(days=2))
    assert status(stack, job_id)["status"] == "awaiting_approval"
    stack.api.post(f"/approve/{job_id}", json=YES).raise_for_status()
    done = through_pauses(stack, clock, job_id, "notify_requester", WEBHOOK_PAUSES, "done")
    # THEN the job ends as any other, and every step ended once
    assert clock.passed - before > timedelta(days=2, hours=16)
    assert time.monotonic() - started < 250, "the pauses have been waited for, so the clock shows nothing"
    assert set(runs_of(stack, job_id).values()) == {1}
    assert step(done, "download_document")["attempts"] == len(STEP_PAUSES) + 1
    assert step(done, "notify_requester")["attempts"] == len(WEBHOOK_PAUSES) + 1
    assert done["result"]["notification"]["delivered"] is True
    # One message: the approver's, and the one that came after 16 hours, under one id all the while.
    assert len({call["headers"]["webhook-id"] for call in world.seen(f"{name}-hook")}) == 2


def test_a_webhook_that_fails_for_16_hours_is_told_in_the_status(
    stack: Stack, world: World, clock: ServerClock
) -> None:
    name = f"deaf-{uuid.uuid4().hex[:6]}"
    before = clock.passed
    job_id = accepted(stack, callbackUrl=world.hook(name, *["500"] * 99))
    done = through_pauses(stack, clock, job_id, "notify_requester", WEBHOOK_PAUSES, "done")
    assert timedelta(hours=15, minutes=30) < clock.passed - before < timedelta(hours=17)
    assert len(world.seen(name)) == len(WEBHOOK_PAUSES) + 1
    # The results are there, so the job is done; that nobody was told stands in two places.
    told = done["result"]["notification"]
    assert (told["delivered"], told["channel"]) == (False, "inbox")
    assert step(done, "notify_requester")["state"] == "failed"
    assert step(done, "notify_requester")["error"]["code"] == "receiver_unavailable"
    assert json.loads(stack.read(told["where"]))["undelivered"]["reason"] == told["reason"]


def test_an_approval_waits_a_year_through_a_restart_of_everything(stack: Stack, clock: ServerClock) -> None:
    # GIVEN a job that waits, and a promise with a deadline in the year, which shows that the clock moves
    job_id = accepted(stack, requiresApproval=True)
    wait_until(stack, job_id, "awaiting_approval")
    control = f"control/{uuid.uuid4().hex}"
    due = int((time.time() + timedelta(days=364).total_seconds()) * 1000)
    stack.resonate("promise.create", id=control, timeoutAt=due, param={}, tags={})

    def of_control() -> str:
        return str(stack.resonate("promise.get", id=control)["data"]["promise"]["state"])

    # WHEN everything is killed while it waits, and a year passes
    for service in SERVICES:
        stack.kill(service)
    stack.start(*reversed(SERVICES))
    assert of_control() == "pending"
    clock.advance(timedelta(days=366))
    # THEN the clock has moved, the job waits as before, and nobody holds it
    assert of_control() == "rejected_timedout"
    assert status(stack, job_id)["status"] == "awaiting_approval"
    assert held(stack) == []
    # AND a yes lets it go on from there
    stack.api.post(f"/approve/{job_id}", json=YES).raise_for_status()
    done = wait_until(stack, job_id, "done")
    assert set(runs_of(stack, job_id).values()) == {1}
    assert step(done, "await_approval")["state"] == "done"
    # AND new jobs go through
    wait_until(stack, accepted(stack), "done")


def test_a_deadline_of_ours_is_ten_years_off_and_is_told(stack: Stack, clock: ServerClock) -> None:
    """The last test of the module: what is older than ten years is over after it."""
    job_id = accepted(stack, requiresApproval=True)
    wait_until(stack, job_id, "awaiting_approval")
    clock.advance(timedelta(days=3649))
    assert status(stack, job_id)["status"] == "awaiting_approval"
    clock.advance(timedelta(days=3651))
    failed = wait_until(stack, job_id, "failed")
    assert (failed["error"]["code"], failed["error"]["step"]) == ("timed_out", "await_approval")
    # It can be taken up again, as anything that failed.
    assert stack.api.post(f"/jobs/{job_id}/retry").status_code == 202
    wait_until(stack, job_id, "awaiting_approval")
