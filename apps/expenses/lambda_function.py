"""The Lambda function of the expense workflow: records claims, takes decisions, says where a claim is.

Copied to `images/lambda/lambda_function.py`; its neighbours there (events, jobs, promises) stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

import events
from contract import failure_of
from contract.expenses import ROUNDS, Claim, Decision, decision_id, root_id
from jobs import Answer, Refusal, args_of
from promises import connect

#: A claim's deadline in milliseconds: ten years, far enough to be none. The SDK's own default is a day.
DEADLINE = 3650 * 24 * 3600 * 1000

logger = Logger(service="expenses")
app = APIGatewayHttpResolver()
promises = connect()


def answer(work: Callable[[], Awaitable[Answer]]) -> Response[str]:
    """Do the work within what is left of this invocation, and say what came of it."""
    return events.response(promises.call(lambda _: work(), events.remaining_seconds(app.lambda_context)))


@app.post("/expenses")
def submit() -> Response[str]:
    claim = events.body(app.current_event, Claim)

    async def work() -> Answer:
        args = [claim.model_dump()]
        deadline = int(time.time() * 1000) + DEADLINE
        record = await promises.start(root_id(claim.claimId), "reimburse", args, timeout_at=deadline, tags={})
        if args_of(record) != args:
            raise Refusal(409, "claim_conflict", f"Claim {claim.claimId} exists, and is another one.")
        return Answer(202, {"status": "accepted", "claimId": claim.claimId}, retry_after=1)

    return answer(work)


@app.get("/expenses/<claim_id>")
def status(claim_id: str) -> Response[str]:
    claim_id = events.job_id(claim_id)

    async def work() -> Answer:
        record = await promises.get(root_id(claim_id))
        if record is None:
            raise Refusal(404, "claim_not_found", f"There is no claim {claim_id}.")
        if record.state == "pending":
            asked = await _open_round(claim_id)
            waiting = {"status": "awaiting_decision", "round": asked} if asked else {"status": "processing"}
            return Answer(200, {"claimId": claim_id, **waiting}, retry_after=60 if asked else 1)
        if record.state == "resolved":
            return Answer(200, {"claimId": claim_id, "status": "paid", "result": record.value.data})
        error = failure_of(record.value.data).model_dump()
        return Answer(200, {"claimId": claim_id, "status": "refused", "error": error})

    return answer(work)


@app.post("/expenses/<claim_id>/decision")
def decide(claim_id: str) -> Response[str]:
    claim_id, decision = events.job_id(claim_id), events.body(app.current_event, Decision)

    async def work() -> Answer:
        asked = await _open_round(claim_id)
        if asked is None:
            raise Refusal(409, "nothing_to_decide", f"Claim {claim_id} does not wait for a decision.")
        await promises.resolve(decision_id(claim_id, asked), decision.model_dump())
        return Answer(200, {"claimId": claim_id, **decision.model_dump()})

    return answer(work)


async def _open_round(claim_id: str) -> int | None:
    """The round whose decision is waited for."""
    for round_ in range(1, ROUNDS + 1):
        found = await promises.get(decision_id(claim_id, round_))
        if found is None:
            return None
        if found.state == "pending":
            return round_
    return None


app.exception_handler(Exception)(events.explained(logger))


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway event, payload 2.0."""
    return app.resolve(event, context)
