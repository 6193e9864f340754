"""The durable workflow. Read it from top to bottom: that is what happens to a job.

Each `run_step` is a checkpoint. When a worker dies, another one runs this function again from the top; steps that are
done return what they returned before, without running. So nothing here may depend on anything but the checkpoints: no
clock, no randomness, no settings.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resonate.context import Context
from resonate.error import ApplicationError
from resonate.resonate import Resonate

from contract import Job, Resume
from durable_lambda.ids import root_id
from durable_lambda.worker import FOREVER, Fault, JobFailed, Step, pause, run_step
from durable_lambda.worker.durable import rejected
from steps.analyze_document import analyze_document
from steps.await_approval import await_approval
from steps.clean_up import cancel_job, remove_stored
from steps.download_document import download_document
from steps.extract_text import extract_text
from steps.notify_requester import leave_in_inbox, notify_requester
from steps.store_results import store_results

DOWNLOAD = Step("download_document", download_document)
EXTRACT = Step("extract_text", extract_text)
ANALYZE = Step("analyze_document", analyze_document)
STORE = Step("store_results", store_results)
CANCEL = Step("cancel_job", cancel_job)
CLEAN_UP = Step("clean_up", remove_stored)

#: How long after a cancellation its objects are removed again: a step that was running may have stored some since.
_SECOND_SWEEP = timedelta(minutes=2)


async def process_document(ctx: Context, job: Job, resume: Resume | None = None) -> dict[str, Any]:
    """From a document to its result. A retried job has the checkpoints of the steps that it does not need to repeat."""
    done = dict(resume.checkpoints) if resume else {}
    attempt = resume.attempt if resume else 1

    async def step(what: Step, *args: Any) -> dict[str, Any]:
        if what.name not in done:
            done[what.name] = await run_step(ctx, what, job, *args)
        return done[what.name]

    try:
        document = await step(DOWNLOAD)
        text = await step(EXTRACT, document)
        analysis = await step(ANALYZE, document, text)
        approval = None
        if job.requiresApproval:
            approval = done.get("await_approval") or await _approval(ctx, job, attempt, analysis)
        stored = await step(STORE, document, text, analysis, approval)
        notice = await _notify(ctx, job, "job.done", {"status": "done", **stored}, attempt)
    except JobFailed as failed:
        # In a promise of its own: the job is over now, however long it takes to reach its requester.
        data = {"status": "failed", "error": failed.fault.model_dump()}
        ctx.options(timeout=FOREVER).detached("deliver_notice", job.model_dump(), "job.failed", data, attempt)
        raise
    return {**stored, **analysis, "document": document, "notification": notice}


async def _approval(ctx: Context, job: Job, attempt: int, analysis: dict[str, Any]) -> dict[str, Any]:
    data = {"status": "awaiting_approval", "summary": analysis["analysis"]["summary"]}
    try:
        outcome = await ctx.options(timeout=FOREVER).run(await_approval, job, attempt, data)
    except ApplicationError as error:
        raise JobFailed(rejected("await_approval", error)) from None
    if "fault" in outcome:
        raise JobFailed(Fault(step="await_approval", **outcome["fault"]))
    verdict: dict[str, Any] = outcome["checkpoint"]
    return verdict


async def _notify(
    ctx: Context, job: Job, event: str, data: dict[str, Any], attempt: int, *, name: str = "notify_requester"
) -> dict[str, Any]:
    """Tell the requester. If a webhook cannot be delivered, the job is done anyway, and the message goes to the inbox.

    A receiver may be away for hours, so a webhook has delays of its own; an inbox is S3, as for any other step.
    """
    delays = "step_retry_seconds" if job.callbackUrl is None else "webhook_retry_seconds"
    how = Step(name, notify_requester, delays)
    try:
        return await run_step(ctx, how, job, event, data, attempt)
    except JobFailed as undelivered:
        reason = undelivered.fault.message
        return await run_step(ctx, Step(name, leave_in_inbox), job, event, data, attempt, reason)


async def deliver_notice(
    ctx: Context, job: Job, event: str, data: dict[str, Any], attempt: int
) -> dict[str, Any]:
    """A message about a job, sent outside of its workflow: that it failed, or that it waits for approval."""
    return await _notify(ctx, job, event, data, attempt, name="deliver_notice")


async def clean_up_cancelled(ctx: Context, job: Job, attempt: int) -> dict[str, Any]:
    """After a cancellation: remove what was stored, tell the requester, and later remove what was stored since.

    A job that ended before it could be cancelled keeps everything.
    """
    cancelled = await run_step(ctx, CANCEL, job, attempt)
    if not cancelled["cancelled"]:
        return {"cancelled": None, "removed": [], "notification": None}
    removed = await run_step(ctx, CLEAN_UP, job)
    told = {"status": "cancelled", **removed}
    notice = await _notify(ctx, job, "job.cancelled", told, attempt, name="deliver_notice")
    await pause(ctx, _SECOND_SWEEP)
    late = await run_step(ctx, CLEAN_UP, job)
    return {
        "cancelled": root_id(job.jobId, attempt),
        "removed": removed["removed"] + late["removed"],
        "notification": notice,
    }


def register(resonate: Resonate) -> None:
    """Make the workflow known under the names that promises carry."""
    for function in (process_document, deliver_notice, clean_up_cancelled):
        resonate.register(function)
