"""The Lambda function of the expense workflow: records claims, takes decisions, says where a claim is."""

from __future__ import annotations

import json
import sys
from typing import Any

from durable_lambda.faults import failure_of
from durable_lambda.function import Answer, Refusal
from durable_lambda.function.api import Api
from durable_lambda.function.bodies import job_id as checked
from durable_lambda.function.events import synthetic
from durable_lambda.function.promises import args_of
from durable_lambda.ids import root_id
from expenses import ROUNDS, Claim, Decision, decision_id

app = Api()


@app.post("/expenses")
async def submit() -> Answer:
    claim = app.body(Claim)
    args = [claim.model_dump()]
    record = await app.promises.start(root_id(claim.claimId), "reimburse", args)
    if args_of(record) != args:
        raise Refusal(
            409, "claim_conflict", f"Claim {claim.claimId} exists and is another one. Use a new claimId."
        )
    return Answer(202, {"status": "accepted", "claimId": claim.claimId}, retry_after=1)


@app.get("/expenses/<claim_id>")
async def status(claim_id: str) -> Answer:
    claim_id = checked(claim_id)
    record = await app.promises.get(root_id(claim_id))
    if record is None:
        raise Refusal(
            404, "claim_not_found", f"There is no claim {claim_id}. Claims begin with POST /expenses."
        )
    if record.state == "pending":
        asked = await _open_round(claim_id)
        waiting = {"status": "awaiting_decision", "round": asked} if asked else {"status": "processing"}
        return Answer(200, {"claimId": claim_id, **waiting}, retry_after=60 if asked else 1)
    if record.state == "resolved":
        return Answer(200, {"claimId": claim_id, "status": "paid", "result": record.value.data})
    error = failure_of(record.value.data).model_dump()
    return Answer(200, {"claimId": claim_id, "status": "refused", "error": error})


@app.post("/expenses/<claim_id>/decision")
async def decide(claim_id: str) -> Answer:
    claim_id, decision = checked(claim_id), app.body(Decision)
    asked = await _open_round(claim_id)
    if asked is None:
        raise Refusal(409, "nothing_to_decide", f"Claim {claim_id} does not wait for a decision.")
    await app.promises.resolve(decision_id(claim_id, asked), decision.model_dump())
    return Answer(200, {"claimId": claim_id, **decision.model_dump()})


async def _open_round(claim_id: str) -> int | None:
    """The round whose decision is waited for."""
    for round_ in range(1, ROUNDS + 1):
        found = await app.promises.get(decision_id(claim_id, round_))
        if found is None:
            return None
        if found.state == "pending":
            return round_
    return None


def lambda_handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Answer one event of API Gateway, payload 2.0 or 1.0."""
    return app.handle(event, context)


if __name__ == "__main__":
    print(json.dumps(lambda_handler(*synthetic(sys.argv[1:])), indent=2))  # noqa: T201
    app.promises.close()
