"""After a cancelled job: what it stored is removed."""

from __future__ import annotations

from typing import Any

from contract import Job
from steps.keys import document_key, report_key, result_key, text_key
from tools import Tools


async def remove_stored(tools: Tools, job: Job) -> dict[str, Any]:
    """Checkpoint: `{"removed": [uri…]}`, what was there. The document at its source is not ours to touch."""
    settings = tools.settings
    places = [
        (settings.work_bucket, document_key(job)),
        (settings.work_bucket, text_key(job)),
        (settings.results_bucket, result_key(job)),
        (settings.results_bucket, report_key(job)),
    ]
    return {"removed": [f"s3://{b}/{k}" for b, k in places if await tools.storage.delete(b, k)]}
