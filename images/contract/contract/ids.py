"""Names: the steps of a job in order, and the ids of the promises that hold them.

A job's root promise is `doc/<jobId>`; its step n is `doc/<jobId>:n`, counted from 1 (SDK 0.8.1 numbers a
workflow's children in call order). A retried job has a new root, `doc/<jobId>~2`, whose first child is the
step it resumes at. Inside a step, tries and the pauses between them alternate: `:n.1`, `:n.2`, `:n.3` …
"""

from __future__ import annotations

import os

from contract.job import Job

#: The group of workers that jobs are handed to.
WORKER_GROUP = os.environ.get("WORKER_GROUP", "worker")

_PREFIX = "doc/"
_ATTEMPT = "~"
_CLEANUP = "~cancelled"


def steps_of(job: Job) -> tuple[str, ...]:
    """The names of the job's steps, in the order they run."""
    approval = ("await_approval",) if job.requiresApproval else ()
    return (
        "download_document",
        "extract_text",
        "analyze_document",
        *approval,
        "store_results",
        "notify_requester",
    )


def root_id(job_id: str, attempt: int = 1) -> str:
    """The promise of one attempt at the job; attempt 1 is the submission, each retry adds one."""
    return f"{_PREFIX}{job_id}" if attempt == 1 else f"{_PREFIX}{job_id}{_ATTEMPT}{attempt}"


def attempt_of(promise_id: str) -> int:
    """The attempt a root promise id stands for."""
    _, _, attempt = promise_id.partition(_ATTEMPT)
    return int(attempt) if attempt.isdecimal() else 1


def job_id_of(promise_id: str) -> str:
    """The jobId in the id of a root promise or of anything below it."""
    return promise_id.removeprefix(_PREFIX).partition(":")[0].partition(_ATTEMPT)[0]


def step_id(job: Job, step: str, *, attempt: int = 1, first: str | None = None) -> str:
    """The promise of a step in an attempt that began at the step `first` (default: the job's first)."""
    steps = steps_of(job)
    start = steps.index(first) if first else 0
    return f"{root_id(job.jobId, attempt)}:{steps.index(step) - start + 1}"


def try_id(step_promise: str, number: int) -> str:
    """The promise of a step's try `number` (from 1): the odd children, pauses being the even ones."""
    return f"{step_promise}.{2 * number - 1}"


def approval_id(step_promise: str) -> str:
    """The promise inside the step `await_approval` that a verdict resolves."""
    return f"{step_promise}.1"


def cleanup_id(job_id: str, attempt: int = 1) -> str:
    """The promise of the clean-up after an attempt that was cancelled."""
    return root_id(job_id, attempt) + _CLEANUP
