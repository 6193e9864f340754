"""The contract between the function and the worker, in one place.

What a job is (:mod:`contract.job`), where its document may lie (:mod:`contract.sources`), the steps it goes
through and the ids of their promises (:mod:`contract.ids`), how it ends badly (:mod:`contract.faults`) and what
a worker writes into a promise for a status call to read (:mod:`contract.records`). Both images carry this
package; neither side spells an id, a step or a code of its own. Importing it takes pickle away from the SDK
(:mod:`contract.sdk`), whichever module of either side makes a client.
"""

from contract.faults import FAULTS, Fault
from contract.ids import (
    WORKER_GROUP,
    approval_id,
    attempt_of,
    cleanup_id,
    job_id_of,
    root_id,
    step_id,
    steps_of,
    try_id,
)
from contract.job import JOB_ID, Identified, Job, JobType, Verdict
from contract.records import Resume, failure_of, failure_text
from contract.sdk import SDK_VERSION, OtherSdkError, check_version, refuse_pickle
from contract.sources import NotASourceError, Sources, split_s3

refuse_pickle()

__all__ = [
    "FAULTS",
    "JOB_ID",
    "SDK_VERSION",
    "WORKER_GROUP",
    "Fault",
    "Identified",
    "Job",
    "JobType",
    "NotASourceError",
    "OtherSdkError",
    "Resume",
    "Sources",
    "Verdict",
    "approval_id",
    "attempt_of",
    "check_version",
    "cleanup_id",
    "failure_of",
    "failure_text",
    "job_id_of",
    "refuse_pickle",
    "root_id",
    "split_s3",
    "step_id",
    "steps_of",
    "try_id",
]
