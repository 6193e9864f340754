"""Step 5: writes `result.json` for programs and `report.md` for people into the results bucket."""

from __future__ import annotations

from typing import Any

from contract import Job
from report import report_of
from steps.keys import report_key, result_key
from tools import Tools


async def store_results(
    tools: Tools,
    job: Job,
    document: dict[str, Any],
    text: dict[str, Any],
    analysis: dict[str, Any],
    approval: dict[str, Any] | None,
) -> dict[str, Any]:
    """Checkpoint: `{"resultUri", "reportUri"}`."""
    bucket = tools.settings.results_bucket
    result = {
        "jobId": job.jobId,
        "requesterId": job.requesterId,
        "documentUrl": job.documentUrl,
        "document": document,
        "text": text,
        **analysis,
        **({"approval": approval} if approval else {}),
    }
    result_uri = await tools.storage.put_json(bucket, result_key(job), result)
    await tools.crash_point(job, "store_results", "middle")
    report = report_of(result).encode()
    report_uri = await tools.storage.put(bucket, report_key(job), report, "text/markdown; charset=utf-8")
    return {"resultUri": result_uri, "reportUri": report_uri}
