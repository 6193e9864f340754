"""The contract of the expense workflow, in both halves: what a claim is, and the id of the promise of a decision."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from durable_lambda.ids import JOB_ID, child_id, root_id

#: Claims up to this amount need no decision, in cents.
SMALL = 5_000
#: How often somebody is asked; if nobody has answered after that, the claim is refused.
ROUNDS = 3


class Claim(BaseModel):
    """Money that an employee wants back, as `POST /expenses` takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claimId: Annotated[str, Field(pattern=JOB_ID)]  # noqa: N815 - the wire's spelling
    employee: Annotated[str, Field(min_length=1, max_length=200)]
    cents: Annotated[int, Field(gt=0, le=100_000_000, strict=True)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    purpose: Annotated[str, Field(min_length=1, max_length=500)]

    @property
    def jobId(self) -> str:  # noqa: N802 - the library's word, in steps and logs
        return self.claimId


class Decision(BaseModel):
    """What `POST /expenses/{claimId}/decision` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approved: StrictBool
    by: Annotated[str, Field(min_length=1, max_length=200)]


def decision_id(claim_id: str, round_: int) -> str:
    """The promise that a decision resolves, in the round `round_` (from 1).

    Children are counted in the order in which the workflow makes them: in each round a step that asks, then this.
    """
    return child_id(root_id(claim_id), 2 * round_)
