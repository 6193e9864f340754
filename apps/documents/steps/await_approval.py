"""Step 4, if the job asks for it: somebody has to say yes. No deadline, and no worker holds the job meanwhile."""

from __future__ import annotations

from typing import Any

from resonate.context import Context

from contract import Job
from durable_lambda.worker import FOREVER
from durable_lambda.worker.durable import log_begin, log_step, refused
from tools import Tools


async def await_approval(ctx: Context, job: Job, attempt: int, data: dict[str, Any]) -> dict[str, Any]:
    """The step's own promise: `{"checkpoint": verdict}`, or `{"fault": …}` for a no.

    The verdict resolves the promise below, `doc/<jobId>:4.1`. It exists before anybody is asked, so that no answer
    comes too early.
    """
    tools = ctx.get_dependency(Tools)
    if (fault := refused(ctx)) is not None:
        return {"fault": fault, "attempts": 1}
    log_begin(ctx, "await_approval")
    await tools.crash_point(job, "await_approval", "before")
    answer = ctx.promise(timeout=FOREVER)
    await answer.id()
    await tools.crash_point(job, "await_approval", "middle")
    asked = ctx.options(timeout=FOREVER)
    asked.detached("deliver_notice", job.model_dump(), "job.approval_requested", data, attempt)
    verdict: dict[str, Any] = await answer
    await tools.crash_point(job, "await_approval", "after")
    approved = verdict.get("approved") is True
    log_step(ctx, "await_approval", "done" if approved else "failed")
    if approved:
        return {"checkpoint": verdict, "attempts": 1}
    comment = f": {verdict['comment']}" if verdict.get("comment") else "."
    return {
        "fault": {"code": "rejected", "message": f"{verdict.get('approver')} said no{comment}"},
        "attempts": 1,
    }
