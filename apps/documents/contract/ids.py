"""Names: the steps of a job in order, and the ids of the promises that hold them.

A retried job has a new root, `doc/<jobId>~2`, whose first child is the step it resumes at.
"""

from __future__ import annotations

from contract.job import Job
from durable_lambda.ids import child_id, root_id

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


def step_id(job: Job, step: str, *, attempt: int = 1, first: str | None = None) -> str:
    """The promise of a step in an attempt that began at the step `first` (default: the job's first)."""
    steps = steps_of(job)
    start = steps.index(first) if first else 0
    return child_id(root_id(job.jobId, attempt), steps.index(step) - start + 1)


def approval_id(step_promise: str) -> str:
    """The promise inside the step `await_approval` that a verdict resolves."""
    return f"{step_promise}.1"


def cleanup_id(job_id: str, attempt: int = 1) -> str:
    """The promise of the clean-up after an attempt that was cancelled."""
    return root_id(job_id, attempt) + _CLEANUP
