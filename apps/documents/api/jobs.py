"""What can be done with a job: submit, look, approve, cancel, retry, list.

The functions here know the contract and the promises. All they know of HTTP is the status code in an :class:`Answer` or a
:class:`Refusal`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from resonate.types import PromiseRecord

from api.callers import Caller
from api.states import PROMISE_STATES, Attempt, described, state_of, summary
from contract import Job, Resume, Verdict, approval_id, cleanup_id, steps_of
from durable_lambda.function import Answer, Refusal
from durable_lambda.function.promises import Promises, args_of
from durable_lambda.ids import attempt_of, root_id, try_id

_KIND = {"document:kind": "job"}
#: The tag with the job's requester, by which the server finds the jobs of one requester.
_REQUESTER = "document:requester"
#: Times a job may be retried; a status call reads one promise for each.
MAX_ATTEMPTS = 20
#: How many pages of the server one page of a filtered list may read, so that a call stays short even if it skips many jobs.
_MOST_PAGES = 10


@dataclass
class Jobs:
    """The calls; each is run by :meth:`~durable_lambda.function.promises.Promises.call`.

    `who` is the holder of the request's token, None if no token was asked for. A job that the caller may not see is
    answered like one that does not exist. A caller who may see a job, but may not do this with it, gets a
    :class:`~api.callers.ForbiddenError`.
    """

    promises: Promises
    tags: dict[str, str] = field(default_factory=lambda: dict(_KIND))

    async def submit(self, job: Job, who: Caller | None = None) -> Answer:
        """Record the job. It is accepted only once its promise exists."""
        if who is not None:
            who.check_submit(job)
        sent = job.model_dump()
        record = await self._start(job, 1, None)
        known = args_of(record)[0]
        if known != sent:
            if who is not None and not who.owns(Job.model_validate(known)):
                raise Refusal(409, "job_conflict", f"The jobId {job.jobId} is taken. Use another one.")
            differing = sorted(name for name in sent if known.get(name) != sent[name])
            raise Refusal(
                409,
                "job_conflict",
                f"Job {job.jobId} exists with another {', '.join(differing)}. "
                "Use a new jobId for a new job, or send the very same job again.",
            )
        return Answer(202, {"status": "accepted", "jobId": job.jobId}, retry_after=1)

    async def status(self, job_id: str, who: Caller | None = None) -> Answer:
        attempt = await self._newest(job_id, who)
        body = described(attempt)
        return Answer(200, body, retry_after=_ask_again(body["status"], attempt.record))

    async def approve(self, job_id: str, verdict: Verdict, who: Caller | None = None) -> Answer:
        """Record a verdict on the job. The same verdict again gets the same answer; a different one is refused."""
        attempt = await self._newest(job_id, who)
        if who is not None:
            who.check_verdict(attempt.job, verdict)
        said = verdict.model_dump(exclude_none=True)
        step = attempt.step("await_approval")
        promise = await self.promises.get(approval_id(step)) if step else None
        if promise is None:
            state = state_of(attempt)
            why = "asks for no approval" if step is None else f"is {state} and does not wait for approval"
            raise Refusal(409, "nothing_to_approve", f"Job {job_id} {why}.", state)
        if promise.state == "pending":
            if attempt.record.state != "pending":
                state = state_of(attempt)
                raise Refusal(409, "nothing_to_approve", f"Job {job_id} is {state}.", state)
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            promise = await self.promises.resolve(promise.id, {**said, "at": at})
        given = promise.value.data if isinstance(promise.value.data, dict) else {}
        if {name: value for name, value in given.items() if name != "at"} != said:
            word = "approved" if given.get("approved") else "rejected"
            by = given.get("approver", "somebody")
            when = given.get("at", "?")
            raise Refusal(
                409, "already_decided", f"Job {job_id} was {word} by {by} at {when}.", state_of(attempt)
            )
        return Answer(
            200, {"jobId": job_id, "status": "processing" if verdict.approved else "failed", **given}
        )

    async def cancel(self, job_id: str, who: Caller | None = None) -> Answer:
        """Stop the job and clean up after it. A job that is over (done, failed or cancelled) is refused."""
        attempt = await self._newest(job_id, who)
        if who is not None:
            who.check_owner(attempt.job)
        record, state = attempt.record, state_of(attempt)
        if record.state != "pending":
            why = "already" if state == "cancelled" else "over"
            text = f"Job {job_id} is {why} {state}" if why == "already" else f"Job {job_id} is {state}"
            raise Refusal(409, "job_over", f"{text}; there is nothing to cancel.", state)
        # The clean-up is recorded first, and begins by cancelling the job as well: if this function crashes between the
        # two, the job is cancelled anyway. A job that has ended before that keeps what it stored.
        await self.promises.start(
            cleanup_id(job_id, attempt.number),
            "clean_up_cancelled",
            [attempt.job.model_dump(), attempt.number],
            tags={"document:kind": "clean-up"},
        )
        attempt.record = await self.promises.cancel(record.id, {"reason": "cancelled by request"})
        if attempt.record.state != "rejected_canceled":
            state = state_of(attempt)
            raise Refusal(409, "job_over", f"Job {job_id} was {state} before it could be cancelled.", state)
        return Answer(200, {"jobId": job_id, "status": "cancelled"})

    async def retry(self, job_id: str, who: Caller | None = None) -> Answer:
        """Run a failed job again from the step that failed, with the checkpoints of the steps before it."""
        attempt = await self._newest(job_id, who)
        if who is not None:
            who.check_owner(attempt.job)
        if state_of(attempt) != "failed" or attempt.record.state == "pending":
            state = state_of(attempt)
            raise Refusal(409, "not_failed", f"Job {job_id} is {state}; only a failed job can be retried.")
        if attempt.number >= MAX_ATTEMPTS:
            raise Refusal(
                409, "too_many_attempts", f"Job {job_id} was tried {attempt.number} times; submit a new one."
            )
        resume = _resume(attempt)
        record = await self._start(attempt.job, resume.attempt, resume)
        started = _resume_in(record) or resume
        body = {"status": "accepted", "jobId": job_id, "attempt": started.attempt, "resumesAt": started.first}
        return Answer(202, body, retry_after=1)

    async def listed(
        self, state: str | None, limit: int, cursor: str | None, who: Caller | None = None
    ) -> Answer:
        """The jobs that the caller may see, in the order of their ids, a page at a time.

        A page is shorter than `limit` if it is the last, or if the call would take long because it has to skip many
        jobs. As in AWS's lists, the last page is the one without a cursor.
        """
        wanted = state and PROMISE_STATES[state]
        tags = self.tags | ({_REQUESTER: who.subject} if who is not None and who.sees_own_only else {})
        jobs: list[dict[str, Any]] = []
        after = cursor and root_id(cursor)
        for _ in range(_MOST_PAGES):
            records, after = await self.promises.search(wanted, tags, limit, after)
            attempts = await asyncio.gather(*(self._listed(record, who) for record in records))
            for number, (record, attempt) in enumerate(zip(records, attempts, strict=True), 1):
                if attempt is None or state not in (None, state_of(attempt)):
                    continue
                jobs.append(summary(attempt))
                if len(jobs) == limit and number < len(records):
                    return _page(jobs, record.id)
            if after is None or len(jobs) == limit:
                break
        return _page(jobs, after)

    async def _listed(self, record: PromiseRecord, who: Caller | None) -> Attempt | None:
        """An attempt as the list shows it; None if the job has a newer one, or if the caller may not see it."""
        job, number = Job.model_validate(args_of(record)[0]), attempt_of(record.id)
        if who is not None and not who.sees(job):
            return None
        may_be_retried = record.state in ("rejected", "rejected_timedout")
        if may_be_retried and await self.promises.get(root_id(job.jobId, number + 1)) is not None:
            return None
        attempt = Attempt(job, number, record, _resume_in(record), {})
        if record.state == "pending":
            await self._read_steps(attempt)
        return attempt

    async def _newest(self, job_id: str, who: Caller | None) -> Attempt:
        """The job's newest attempt with all its steps, read by `promise.get` alone."""
        record = await self.promises.get(root_id(job_id))
        # The same answer in both cases: clients choose the ids, and an id may reveal something about the job.
        if record is None or (who is not None and not who.sees(Job.model_validate(args_of(record)[0]))):
            raise Refusal(
                404, "job_not_found", f"There is no job {job_id}. Jobs begin with POST /process-document."
            )
        number = 1
        # Only an attempt that failed can have a successor.
        while record.state in ("rejected", "rejected_timedout") and number < MAX_ATTEMPTS:
            newer = await self.promises.get(root_id(job_id, number + 1))
            if newer is None:
                break
            record, number = newer, number + 1
        job = Job.model_validate(args_of(record)[0])
        attempt = Attempt(job, number, record, _resume_in(record), {})
        await self._read_steps(attempt)
        return attempt

    async def _read_steps(self, attempt: Attempt) -> None:
        names = steps_of(attempt.job)
        found = await asyncio.gather(*(self.promises.get(attempt.step(name) or "") for name in names))
        attempt.steps.update(
            {n: record for n, record in zip(names, found, strict=True) if record is not None}
        )
        for name, record in attempt.steps.items():
            if record.state == "pending":
                if name == "await_approval":
                    attempt.question = await self.promises.get(approval_id(record.id))
                else:
                    attempt.tries[name] = await self._tries(record.id)

    async def _tries(self, step_promise: str) -> list[PromiseRecord]:
        """The tries of a step that is under way: few, so they are read until there are no more."""
        found: list[PromiseRecord] = []
        for number in range(1, 100):
            record = await self.promises.get(try_id(step_promise, number))
            if record is None:
                break
            found.append(record)
        return found

    async def _start(self, job: Job, attempt: int, resume: Resume | None) -> PromiseRecord:
        args = [job.model_dump(), *([resume.model_dump()] if resume else [])]
        promise_id = root_id(job.jobId, attempt)
        return await self.promises.start(
            promise_id,
            "process_document",
            args,
            tags={**self.tags, "document:type": job.type, _REQUESTER: job.requesterId},
        )


def _page(jobs: list[dict[str, Any]], after: str | None) -> Answer:
    return Answer(200, {"jobs": jobs, "cursor": after and after.removeprefix(root_id(""))})


def _resume(attempt: Attempt) -> Resume:
    """Where the next attempt goes on: at the step that failed, with every checkpoint before it."""
    checkpoints: dict[str, dict[str, Any]] = {}
    promises: dict[str, str] = {}
    for name in steps_of(attempt.job):
        record = attempt.steps.get(name)
        value = record.value.data if record is not None and record.state == "resolved" else None
        if not isinstance(value, dict) or "checkpoint" not in value or record is None:
            return Resume(attempt=attempt.number + 1, first=name, checkpoints=checkpoints, promises=promises)
        checkpoints[name], promises[name] = value["checkpoint"], record.id
    last = steps_of(attempt.job)[-1]
    checkpoints.pop(last, None)
    promises.pop(last, None)
    return Resume(attempt=attempt.number + 1, first=last, checkpoints=checkpoints, promises=promises)


def _resume_in(record: PromiseRecord) -> Resume | None:
    args = args_of(record)
    return Resume.model_validate(args[1]) if len(args) > 1 else None


def _ask_again(state: str, record: PromiseRecord) -> int | None:
    """Seconds until it makes sense to ask again: the older the job, the longer. A person takes at least a minute."""
    if state in ("done", "failed", "cancelled"):
        return None
    if state == "awaiting_approval":
        return 60
    age = time.time() - record.created_at / 1000
    return int(min(60, max(1, age // 10)))
