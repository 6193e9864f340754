"""The keys of a job's objects. They depend on the job alone, so that a step that runs again writes the same objects."""

from __future__ import annotations

from contract import Job


def work_prefix(job: Job) -> str:
    """All of the job's objects in the work bucket, and no other job's: a jobId has no slash."""
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
