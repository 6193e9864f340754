"""A durable step: tried until it succeeds or fails for good. Each try is recorded; no worker is held while it waits.

A step is the promise `<root>:n`. Below it, tries and pauses alternate: `:n.1` a try, `:n.2` a pause, `:n.3` the next
try. A try that fails for now is a *value* there, not an exception, so that a status call can read it; and a pause is a
promise with a deadline, so that nobody keeps a lease, memory or a thread for it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from resonate.context import Context
from resonate.error import ApplicationError

from durable_lambda.deadline import FOREVER
from durable_lambda.faults import Fault, failure_text
from durable_lambda.ids import job_id_of
from durable_lambda.worker.tools import Identified, Tools, tools_of
from durable_lambda.worker.trouble import Permanent, Transient

logger = logging.getLogger("worker.step")


@dataclass(frozen=True)
class Step:
    """A step of a workflow: its name, and the function that does its work: `await run(tools, job, …)`, a checkpoint.

    `delays` names the setting with the seconds between one try and the next.
    """

    name: str
    run: Callable[..., Awaitable[dict[str, Any]]]
    delays: str = "step_retry_seconds"


class JobFailed(Exception):
    """Ends the job as failed; its text is the fault as JSON."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(failure_text(fault))
        self.fault = fault


async def run_step(ctx: Context, step: Step, job: Identified, *args: Any) -> dict[str, Any]:
    """Run a step to its checkpoint. Raises :class:`JobFailed` when it cannot be done."""
    try:
        outcome = await ctx.options(timeout=FOREVER).run(tries, step, job, args)
    except ApplicationError as error:
        raise JobFailed(rejected(step.name, error)) from None
    fault = outcome.get("fault")
    if fault is not None:
        raise JobFailed(Fault(step=step.name, **fault))
    checkpoint: dict[str, Any] = outcome["checkpoint"]
    return checkpoint


def rejected(step: str, error: ApplicationError) -> Fault:
    """The fault of a step whose promise was rejected: by somebody else or by a bug, as a step itself ends with a value."""
    return Fault(step=step, code="internal_error", message=f"The step's promise was rejected: {error}")


async def tries(ctx: Context, step: Step, job: Identified, args: tuple[Any, ...]) -> dict[str, Any]:
    """The step's own promise: `{"checkpoint"|"fault", "attempts", "lastError"?}`."""
    delays = _delays(tools_of(ctx), step)
    last_error: dict[str, Any] | None = None
    for number in itertools.count(1):
        outcome = await ctx.options(timeout=FOREVER).run(one_try, step, number, job, args)
        retry_in = outcome.pop("retryIn", None)
        if retry_in is None or number > len(delays):
            if "transient" in outcome:
                last_error = outcome.pop("transient")
                outcome["fault"] = {
                    "code": last_error["code"],
                    "message": f"{last_error['message']} (given up after {number} tries)",
                }
            return {**outcome, "attempts": number, **({"lastError": last_error} if last_error else {})}
        last_error = outcome["transient"]
        await pause(ctx, timedelta(seconds=retry_in))
    raise AssertionError("unreachable")


async def one_try(
    ctx: Context, step: Step, number: int, job: Identified, args: tuple[Any, ...]
) -> dict[str, Any]:
    """One try of a step. Always a value: a checkpoint, a fault, or a transient fault and the delay after it."""
    tools = tools_of(ctx)
    started = time.monotonic()
    outcome: dict[str, Any]
    level = logging.INFO
    if (fault := refused(ctx)) is not None:
        note = {"outcome": "failed", "code": fault["code"], "reason": fault["message"]}
        _log(ctx, step.name, number, 0.0, logging.ERROR, note)
        return {"fault": fault}
    log_begin(ctx, step.name, number)
    try:
        await tools.crash_point(job, step.name, "before")
        outcome = {"checkpoint": await step.run(tools, job, *args)}
        await tools.crash_point(job, step.name, "after")
        note = {"outcome": "done"}
    except Permanent as trouble:
        code = tools.codes.get(trouble.code, trouble.code)
        outcome = {"fault": {"code": code, "message": trouble.message}}
        note = {"outcome": "failed", "code": code, "reason": trouble.message}
    except Exception as error:
        if not isinstance(error, Transient):
            logger.exception("a step met an unexpected error", extra={"step": step.name, "attempt": number})
            # Waiting does not fix a bug, but it may help if the error only looks like one.
            error = Transient("internal_error", f"{type(error).__name__}: {error}", most=3)
        level = logging.WARNING
        error.code = tools.codes.get(error.code, error.code)
        outcome = _transient(_delays(tools, step), number, error)
        note = {"outcome": "transient", "code": error.code, "reason": error.message}
    _log(ctx, step.name, number, time.monotonic() - started, level, note)
    return outcome


def refused(ctx: Context) -> dict[str, str] | None:
    """The fault that a step ends with instead of being run, if it has killed one worker after the other."""
    reason = tools_of(ctx).refusal(ctx.info.id)
    return None if reason is None else {"code": "worker_lost", "message": reason}


def log_begin(ctx: Context, step: str, number: int = 1) -> None:
    """Log that a step begins, before it does: a worker that dies in it logs nothing after this."""
    extra = {"event": "step begun", "job": job_id_of(ctx.info.id), "step": step, "attempt": number}
    logger.info("%s: begun", step, extra=extra)


def log_step(ctx: Context, step: str, outcome: str) -> None:
    """Log the end of a step that has no tries."""
    _log(ctx, step, 1, 0.0, logging.INFO, {"outcome": outcome})


def _log(ctx: Context, step: str, number: int, seconds: float, level: int, note: dict[str, str]) -> None:
    """The log's one line about the end of a step, or of a try that failed for now."""
    event = "step tried" if note["outcome"] == "transient" else "step finished"
    extra = {
        "event": event,
        "job": job_id_of(ctx.info.id),
        "step": step,
        "attempt": number,
        "duration_ms": round(seconds * 1000),
        **note,
    }
    logger.log(level, "%s: %s", step, note["outcome"], extra=extra)


def _delays(tools: Tools, step: Step) -> tuple[float, ...]:
    delays: tuple[float, ...] = getattr(tools.settings, step.delays)
    return delays


def _transient(delays: tuple[float, ...], number: int, error: Transient) -> dict[str, Any]:
    delay = delays[number - 1] if number <= len(delays) else 0.0
    if error.most is not None and number >= error.most:
        return {"fault": {"code": error.code, "message": error.message}}
    if error.retry_after is not None:
        delay = max(delay, min(error.retry_after, 3600.0))
    now = time.time()
    note = {"code": error.code, "message": error.message, "at": _iso(now), "nextTryAt": _iso(now + delay)}
    return {"transient": note, "retryIn": delay}


async def pause(ctx: Context, duration: timedelta) -> None:
    """Wait durably: suspended until the promise's deadline passes, or somebody resolves it early.

    Not `ctx.sleep()`: in SDK 0.8.1 its timer is a task as well. As long as the timer runs, a worker takes that task and
    drops it again, once for each lease.
    """
    with contextlib.suppress(ApplicationError):  # what the SDK raises for a promise that timed out
        await ctx.promise(timeout=duration)


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"
