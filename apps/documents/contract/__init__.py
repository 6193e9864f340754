"""The contract between the function and the worker, in one place.

What a job is (:mod:`contract.job`), where its document may lie (:mod:`contract.sources`), the steps it goes
through and the ids of their promises (:mod:`contract.ids`), the codes it can fail with (:mod:`contract.faults`) and
where a retried job goes on (:mod:`contract.records`). Both halves contain this package; neither writes the name of a
step, an id or a code itself.
"""

from contract.faults import FAULTS
from contract.ids import approval_id, cleanup_id, step_id, steps_of
from contract.job import Job, JobType, Verdict
from contract.records import Resume
from contract.sources import NotASourceError, Sources, split_s3

__all__ = [
    "FAULTS",
    "Job",
    "JobType",
    "NotASourceError",
    "Resume",
    "Sources",
    "Verdict",
    "approval_id",
    "cleanup_id",
    "split_s3",
    "step_id",
    "steps_of",
]
