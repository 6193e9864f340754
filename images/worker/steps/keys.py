"""Where a job's objects are: always the same keys, so a step that runs again writes the same objects again."""

from __future__ import annotations

from contract import Job


def document_key(job: Job) -> str:
    return f"{job.jobId}/document"


def text_key(job: Job) -> str:
    return f"{job.jobId}/text.txt"


def result_key(job: Job) -> str:
    return f"{job.jobId}/result.json"


def report_key(job: Job) -> str:
    return f"{job.jobId}/report.md"


def inbox_key(job: Job, event: str) -> str:
    return f"inbox/{job.requesterId}/{job.jobId}.{event}.json"
