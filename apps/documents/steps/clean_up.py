"""After a cancellation: make sure that the job is over, then remove what it stored."""

from __future__ import annotations

from typing import Any

from resonate.types import Value

from contract import Job
from durable_lambda.ids import root_id
from steps.keys import report_key, result_key, work_prefix
from tools import Tools


async def cancel_job(tools: Tools, job: Job, attempt: int) -> dict[str, Any]:
    """Checkpoint: `{"cancelled"}`, which says whether the job was cancelled before it ended in another way.

    The function has done this already, unless it died between recording the clean-up and cancelling.
    """
    reason = Value(data={"reason": "cancelled by request"})
    record = await tools.promises.cancel(root_id(job.jobId, attempt), reason)
    return {"cancelled": record.state == "rejected_canceled"}


async def remove_stored(tools: Tools, job: Job) -> dict[str, Any]:
    """Checkpoint: `{"removed": [uri…]}`, the objects that were there. The document at its source stays."""
    settings, storage = tools.settings, tools.storage
    removed = await storage.delete(settings.work_bucket, work_prefix(job), exactly=False)
    for key in (result_key(job), report_key(job)):
        removed += await storage.delete(settings.results_bucket, key, exactly=True)
    return {"removed": removed}
