"""The status of a job and of its steps, read from its promises, in the words of the API."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from resonate.types import PromiseRecord

from contract import Job, Resume, step_id, steps_of
from durable_lambda.faults import failure_of

#: Each status of a job, and the state of the promise that has it.
PROMISE_STATES = {
    "accepted": "pending",
    "processing": "pending",
    "awaiting_approval": "pending",
    "done": "resolved",
    "failed": "rejected",
    "cancelled": "rejected_canceled",
}


@dataclass
class Attempt:
    """One attempt at a job, as read from the server."""

    job: Job
    number: int
    record: PromiseRecord
    resume: Resume | None
    #: step -> its promise, if it has begun.
    steps: dict[str, PromiseRecord]
    #: step under way -> its tries.
    tries: dict[str, list[PromiseRecord]] = field(default_factory=dict)
    #: The promise that a verdict resolves, while `await_approval` is under way. For a moment it does not exist yet.
    question: PromiseRecord | None = None

    @property
    def asks(self) -> bool:
        """Whether the job waits for a verdict, and would accept one."""
        return self.question is not None and self.question.state == "pending"

    def step(self, name: str) -> str | None:
        """The promise id of a step, of this attempt or kept from an earlier one; None if there is none."""
        if name not in steps_of(self.job):
            return None
        if self.resume and name in self.resume.promises:
            return self.resume.promises[name]
        return step_id(self.job, name, attempt=self.number, first=self.resume.first if self.resume else None)


def state_of(attempt: Attempt) -> str:
    """The job's status: one of :data:`PROMISE_STATES`."""
    match attempt.record.state:
        case "resolved":
            return "done"
        case "rejected_canceled":
            return "cancelled"
        case "rejected" | "rejected_timedout":
            return "failed"
    if attempt.asks:
        return "awaiting_approval"
    return "processing" if attempt.steps else "accepted"


def described(attempt: Attempt) -> dict[str, Any]:
    """The body of a status call."""
    record, state = attempt.record, state_of(attempt)
    body: dict[str, Any] = {
        "status": state,
        "jobId": attempt.job.jobId,
        "type": attempt.job.type,
        "attempt": attempt.number,
        "submittedAt": iso(record.created_at),
        "steps": [_step(attempt, name, state) for name in steps_of(attempt.job)],
    }
    if record.settled_at is not None:
        body["finishedAt"] = iso(record.settled_at)
    if state == "done":
        body["result"] = record.value.data
    elif state == "failed":
        if record.state == "rejected_timedout":
            # Its steps' deadlines pass at the same time; the last step that had begun is the one it was in.
            last = next((name for name in reversed(steps_of(attempt.job)) if name in attempt.steps), "")
            body["error"] = {"step": last, "code": "timed_out", "message": "The job went over its deadline."}
        else:
            body["error"] = failure_of(record.value.data).model_dump()
    return body


def summary(attempt: Attempt) -> dict[str, Any]:
    """The job as a list shows it."""
    return {
        "jobId": attempt.job.jobId,
        "status": state_of(attempt),
        "type": attempt.job.type,
        "requesterId": attempt.job.requesterId,
        "attempt": attempt.number,
        "submittedAt": iso(attempt.record.created_at),
    }


def _step(attempt: Attempt, name: str, state: str) -> dict[str, Any]:
    record = attempt.steps.get(name)
    if record is None:
        return {
            "name": name,
            "state": "pending" if state in ("accepted", "processing", "awaiting_approval") else "skipped",
        }
    step: dict[str, Any] = {"name": name, "state": "running", "startedAt": iso(record.created_at)}
    if record.state == "pending":
        tries = attempt.tries.get(name, [])
        failures = [_failure(t) for t in tries if t.state != "pending"]
        step["attempts"] = max(1, len(tries))
        if failures and failures[-1]:
            step["lastError"] = failures[-1]
        if name == "await_approval" and attempt.asks:
            step["state"] = "waiting"
        if tries and tries[-1].state != "pending" and failures[-1]:
            step["state"] = "waiting"
        if state in ("cancelled", "failed"):  # it was under way, and does not go on
            step["state"] = state
        return step
    step["finishedAt"] = iso(record.settled_at or record.created_at)
    value = record.value.data if isinstance(record.value.data, dict) else {}
    step["state"] = "done" if record.state == "resolved" and "checkpoint" in value else "failed"
    step["attempts"] = value.get("attempts", 1)
    if "lastError" in value:
        step["lastError"] = value["lastError"]
    if "fault" in value:
        step["error"] = {"step": name, **value["fault"]}
    return step


def _failure(record: PromiseRecord) -> dict[str, Any] | None:
    value = record.value.data
    return value.get("transient") if isinstance(value, dict) else None


def iso(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{milliseconds % 1000:03}Z"
