"""The ids of promises: how a job's id becomes its promise's, and back.

A job's root promise is `<prefix><jobId>`, with the application's prefix. Its child n is `<root>:n`, counted from 1: SDK
0.8.1 numbers a workflow's children in the order of the calls. A job that is tried again has a new root, `<root>~2`.
Inside a step, tries and the pauses between them alternate: `:n.1`, `:n.2`, `:n.3`, …
"""

from __future__ import annotations

import os

from durable_lambda.application import application

#: A job id becomes part of promise ids, S3 keys and paths: no slash, no colon (it separates a promise from its
#: children), no tilde (it marks attempts), no dot at the front (it hides files).
JOB_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

#: The group of workers that new jobs go to.
WORKER_GROUP = os.environ.get("WORKER_GROUP") or "worker"

_ATTEMPT = "~"


def root_id(job_id: str, attempt: int = 1) -> str:
    """The promise of one attempt at the job; attempt 1 is the submission, each retry adds one."""
    root = application().prefix + job_id
    return root if attempt == 1 else f"{root}{_ATTEMPT}{attempt}"


def attempt_of(promise_id: str) -> int:
    """The attempt that a root promise id stands for."""
    _, _, attempt = promise_id.partition(_ATTEMPT)
    return int(attempt) if attempt.isdecimal() else 1


def job_id_of(promise_id: str) -> str:
    """The job id in the id of a root promise or of anything below it."""
    return promise_id.removeprefix(application().prefix).partition(":")[0].partition(_ATTEMPT)[0]


def child_id(promise_id: str, number: int) -> str:
    """The promise of a root's child `number`, counted from 1."""
    return f"{promise_id}:{number}"


def try_id(step_promise: str, number: int) -> str:
    """The promise of a step's try `number`, counted from 1: the odd children; the even ones are pauses."""
    return f"{step_promise}.{2 * number - 1}"
