"""Who calls, by the claims of the request's token, and what they may do: docs/workflow.md has the rules.

API Gateway has checked the token and passes its claims on. If no token was asked for (AUTH=off, or an invocation that
IAM allowed) there is no caller, and nothing is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract import Job, Verdict
from durable_lambda.function import Refusal

#: Act for any requester: submit, read, cancel, retry; and see every job in the list.
ANY = "jobs:any"
#: Read the jobs that ask for approval, and decide them.
APPROVE = "jobs:approve"


class ForbiddenError(Refusal):
    """The token does not allow the request: 403, with a code, and a message that says what would help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(403, code, message)


@dataclass(frozen=True)
class Caller:
    """The holder of a token: the claim `sub` (empty if the token has none), and every scope that was granted."""

    subject: str
    scopes: frozenset[str]

    def owns(self, job: Job) -> bool:
        """Whether the caller is the job's requester, or may act for any."""
        return ANY in self.scopes or job.requesterId == self.subject

    def sees(self, job: Job) -> bool:
        """Whether the caller may read the job. Whoever approves it must be able to read it."""
        return self.owns(job) or (APPROVE in self.scopes and job.requiresApproval)

    @property
    def sees_own_only(self) -> bool:
        return not self.scopes & {ANY, APPROVE}

    def check_submit(self, job: Job) -> None:
        """Raises :class:`ForbiddenError`."""
        if not self.owns(job):
            raise ForbiddenError(
                "requester_mismatch",
                f"requesterId must be the token's subject, {self.subject!r}; only a token with the scope {ANY} submits "
                "for others.",
            )

    def check_owner(self, job: Job) -> None:
        """For what only its requester may do. Raises :class:`ForbiddenError`."""
        if not self.owns(job):
            raise ForbiddenError(
                "not_yours", f"Job {job.jobId} is another requester's; you may read and decide it."
            )

    def check_verdict(self, job: Job, verdict: Verdict) -> None:
        """The requester and the approver must be two people. Raises :class:`ForbiddenError`."""
        if APPROVE not in self.scopes:
            raise ForbiddenError(
                "scope_missing", f"The token has no scope {APPROVE}, which an approval needs."
            )
        if job.requesterId == self.subject:
            raise ForbiddenError(
                "own_job",
                f"Job {job.jobId} is your own; somebody else with the scope {APPROVE} must decide it.",
            )
        if verdict.approver != self.subject:
            raise ForbiddenError(
                "approver_mismatch", f"approver must be the token's subject, {self.subject!r}."
            )


def caller(event: dict[str, Any]) -> Caller | None:
    """The holder of the token in an event of API Gateway; None if no JWT authorizer checked one.

    Payload 2.0 has the claims in `authorizer.jwt.claims`, 1.0 in `authorizer.claims`.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    said = event["requestContext"].get("authorizer")
    if not isinstance(said, dict):
        return None
    token = said["jwt"] if isinstance(said.get("jwt"), dict) else said
    claims = token.get("claims")
    if not isinstance(claims, dict):
        return None
    # `scopes` beside the claims has only the scopes that the route asked for; the claim has all of them.
    granted = claims.get("scope") or claims.get("scp") or ""
    if isinstance(granted, list):
        granted = " ".join(map(str, granted))
    # API Gateway passes a list on as one text: "[a b]".
    return Caller(str(claims.get("sub") or ""), frozenset(str(granted).strip("[]").replace(",", " ").split()))
