"""Claims: small ones are paid, others are asked about, and without a yes nothing is paid."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from resonate.error import ApplicationError, ServerError
from resonate.resonate import Resonate
from resonate.retry import Never
from resonate.types import Value

import workflow
from durable_lambda.faults import failure_of
from durable_lambda.worker.tools import provide
from expenses import ROUNDS, SMALL, Claim, decision_id
from workflow import Settings, Tools


class Ledger:
    """The bucket: what was put there, by key, in order."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    async def put_json(self, bucket: str, key: str, value: Any) -> str:
        self.objects[key] = value
        return f"s3://{bucket}/{key}"


class Office:
    """The workflow on the SDK's own server in memory, and whoever decides."""

    def __init__(self) -> None:
        self.resonate = Resonate(retry_policy=Never(), env={})
        self.ledger = Ledger()
        tools = Tools(Settings(ledger_bucket="books"))
        tools.storage = self.ledger  # type: ignore[assignment]
        provide(self.resonate, tools)
        workflow.register(self.resonate)

    def submit(self, cents: int) -> Any:
        """The outcome of a claim."""
        claim = Claim(claimId="c", employee="Ada", cents=cents, currency="EUR", purpose="a train")
        running = self.resonate.options(timeout=timedelta(days=1)).run("expense/c", workflow.reimburse, claim)
        return running.result()

    async def asked(self, round_: int) -> str:
        """The promise of the decision of that round, once it is waited for."""
        promise = decision_id("c", round_)
        async with asyncio.timeout(10):
            while True:
                try:
                    await self.resonate.promises.get(promise)
                    return promise
                except ServerError:
                    await asyncio.sleep(0.01)

    async def decide(self, approved: bool) -> None:
        verdict = Value(data={"approved": approved, "by": "boss"})
        await self.resonate.promises.resolve(await self.asked(1), verdict)

    async def let_pass(self, round_: int) -> None:
        """Nobody answers: what the SDK tells of a promise that timed out, it tells of one that was rejected as well."""
        await self.resonate.promises.reject(await self.asked(round_), Value(data=None))


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    yield made
    await made.resonate.stop()


async def test_a_small_claim_is_paid_at_once(office: Office) -> None:
    paid = await office.submit(SMALL)
    assert paid == {
        "decision": {"approved": True, "by": "policy"},
        "payment": "s3://books/expenses/c/payment.json",
    }
    assert office.ledger.objects == {
        "expenses/c/payment.json": {"claimId": "c", "to": "Ada", "cents": SMALL, "approvedBy": "policy"}
    }


async def test_a_larger_one_is_paid_after_a_yes(office: Office) -> None:
    paid, _ = await asyncio.gather(office.submit(SMALL + 1), office.decide(True))
    assert paid["decision"] == {"approved": True, "by": "boss"}
    asked, payment = office.ledger.objects.values()
    assert asked == {"claimId": "c", "round": 1, "text": "Ada: 50.01 EUR for a train"}
    assert payment["approvedBy"] == "boss"


async def test_a_no_ends_it(office: Office) -> None:
    with pytest.raises(ApplicationError) as refused:
        await asyncio.gather(office.submit(SMALL + 1), office.decide(False))
    fault = failure_of({"message": str(refused.value)})
    assert (fault.step, fault.code, fault.message) == ("ask", "rejected", "boss said no.")
    assert list(office.ledger.objects) == ["expenses/c/question-1.json"]


async def test_nobody_answers_in_any_round(office: Office) -> None:
    async def silence() -> None:
        for round_ in range(1, ROUNDS + 1):
            await office.let_pass(round_)

    with pytest.raises(ApplicationError) as refused:
        await asyncio.gather(office.submit(SMALL + 1), silence())
    assert failure_of({"message": str(refused.value)}).code == "no_answer"
    assert list(office.ledger.objects) == [f"expenses/c/question-{n}.json" for n in range(1, ROUNDS + 1)]
