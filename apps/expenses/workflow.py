"""The expense workflow: small claims are paid at once; for others somebody is asked, and asked again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resonate.context import Context
from resonate.error import ApplicationError
from resonate.resonate import Resonate

from durable_lambda import worker
from durable_lambda.worker import Fault, JobFailed, Step, run_step
from durable_lambda.worker.storage import Storage
from expenses import ROUNDS, SMALL, Claim

#: How long to wait for an answer before asking again.
PATIENCE = timedelta(days=3)


async def reimburse(ctx: Context, claim: Claim) -> dict[str, Any]:
    """From a claim to its payment, or to its refusal."""
    decision: dict[str, Any] | None = {"approved": True, "by": "policy"} if claim.cents <= SMALL else None
    for round_ in range(1, ROUNDS + 1):
        if decision is None:
            await run_step(ctx, ASK, claim, round_)
            decision = await _answer(ctx)
    if decision is None:
        raise JobFailed(Fault(step="ask", code="no_answer", message=f"Nobody answered in {ROUNDS} rounds."))
    if not decision["approved"]:
        raise JobFailed(Fault(step="ask", code="rejected", message=f"{decision['by']} said no."))
    return {"decision": decision, **await run_step(ctx, PAY, claim, decision)}


async def _answer(ctx: Context) -> dict[str, Any] | None:
    """A decision, or None when nobody has made one in time. No worker holds the claim meanwhile."""
    try:
        found: dict[str, Any] = await ctx.promise(timeout=PATIENCE)
    except ApplicationError:  # what the SDK raises for a promise that timed out
        return None
    return found


# ---------------------------------------------------------------- what steps are given


class Settings(worker.Settings):
    #: Where questions and payments are put.
    ledger_bucket: str = "ledger"


class Tools(worker.Tools):
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.storage = Storage(threads=settings.worker_concurrency)

    async def open(self) -> None:
        await self.storage.open()

    async def close(self) -> None:
        self.storage.close()


# ---------------------------------------------------------------- steps: each may run twice, with the effect of one run


async def ask(tools: Tools, claim: Claim, round_: int) -> dict[str, Any]:
    """Leave a question for whoever decides. Its key is the same each time, so a second run writes no second question."""
    amount = f"{claim.cents / 100:.2f} {claim.currency}"
    question = {
        "claimId": claim.claimId,
        "round": round_,
        "text": f"{claim.employee}: {amount} for {claim.purpose}",
    }
    key = f"expenses/{claim.claimId}/question-{round_}.json"
    return {"question": await tools.storage.put_json(tools.settings.ledger_bucket, key, question)}


async def pay(tools: Tools, claim: Claim, decision: dict[str, Any]) -> dict[str, Any]:
    """Order the payment. The key prevents a second one: it has the claim's id, as a bank's idempotency key would."""
    order = {
        "claimId": claim.claimId,
        "to": claim.employee,
        "cents": claim.cents,
        "approvedBy": decision["by"],
    }
    key = f"expenses/{claim.claimId}/payment.json"
    return {"payment": await tools.storage.put_json(tools.settings.ledger_bucket, key, order)}


ASK, PAY = Step("ask", ask), Step("pay", pay)


def register(resonate: Resonate) -> None:
    """Make the workflow known under the name that promises carry."""
    resonate.register(reimburse)
