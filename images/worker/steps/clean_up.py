"""After a cancelled job: what it stored is removed."""

from __future__ import annotations

from typing import Any

from contract import Job
from steps.keys import report_key, result_key, work_prefix
from tools import Tools


async def remove_stored(tools: Tools, job: Job) -> dict[str, Any]:
    """Checkpoint: `{"removed": [uri…]}`, what was there. The document at its source is not ours to touch."""
    settings, storage = tools.settings, tools.storage
    removed = await storage.delete(settings.work_bucket, work_prefix(job), exactly=False)
    for key in (result_key(job), report_key(job)):
        removed += await storage.delete(settings.results_bucket, key, exactly=True)
    return {"removed": removed}
