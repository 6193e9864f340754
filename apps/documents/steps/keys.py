"""Where a job's objects are: always the same keys, so a step that runs again writes them again."""

from __future__ import annotations

from contract import Job


def work_prefix(job: Job) -> str:
    """Everything of the job in the work bucket; a jobId has no slash, so nobody else's."""
    return f"{job.jobId}/"


def document_key(job: Job) -> str:
    return f"{job.jobId}/document"


def text_key(job: Job) -> str:
    return f"{job.jobId}/text.txt"


def part_key(job: Job, mark: str, index: int) -> str:
    return f"{job.jobId}/analysis/{mark}-{index:04}.json"


def result_key(job: Job) -> str:
    return f"{job.jobId}/result.json"


def report_key(job: Job) -> str:
    return f"{job.jobId}/report.md"


def inbox_key(job: Job, event: str) -> str:
    return f"inbox/{job.requesterId}/{job.jobId}.{event}.json"
