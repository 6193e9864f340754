"""Expense claims: paid at once, after a decision, or never; through crashes and through days of silence."""

import json
import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest

from harness.clock import ServerClock
from harness.fixtures import MakeStack
from harness.stack import Stack
from harness.waiting import wait_for


@pytest.fixture(scope="module")
def stack(make_module_stack: MakeStack) -> Stack:
    return make_module_stack(debug=True)


def claimed(stack: Stack, cents: int) -> dict[str, Any]:
    claim = {"claimId": f"claim-{uuid.uuid4().hex[:8]}", "employee": "Ada", "cents": cents, "currency": "EUR"}
    claim["purpose"] = "a train to Delft"
    answer = stack.api.post("/expenses", json=claim)
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    return claim


def reached(stack: Stack, claim: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    def probe() -> dict[str, Any] | None:
        seen: dict[str, Any] = stack.api.get(f"/expenses/{claim['claimId']}").json()
        return seen if wanted.items() <= seen.items() else None

    found = wait_for(probe, f"the claim to be {wanted}")
    assert found is not None
    return found


def decided(stack: Stack, claim: dict[str, Any], approved: bool) -> httpx.Response:
    return stack.api.post(f"/expenses/{claim['claimId']}/decision", json={"approved": approved, "by": "Bob"})


def objects(stack: Stack, claim: dict[str, Any]) -> list[str]:
    prefix = f"expenses/{claim['claimId']}/"
    found = stack.s3.list_objects_v2(Bucket="ledger", Prefix=prefix).get("Contents", [])
    return sorted(entry["Key"].removeprefix(prefix) for entry in found)


def test_a_small_claim_is_paid_at_once_and_only_once(stack: Stack) -> None:
    claim = claimed(stack, 4_200)
    again = stack.api.post("/expenses", json=claim)
    assert again.status_code == 202
    paid = reached(stack, claim, status="paid")
    assert json.loads(stack.read(paid["result"]["payment"]))["cents"] == 4_200
    assert objects(stack, claim) == ["payment.json"]
    assert stack.api.post("/expenses", json={**claim, "cents": 1}).status_code == 409


def test_a_large_claim_waits_for_a_yes_through_a_crash(stack: Stack) -> None:
    claim = claimed(stack, 80_000)
    reached(stack, claim, status="awaiting_decision", round=1)
    for service in ("worker", "server"):
        stack.kill(service)
    stack.start("server", "worker")
    assert decided(stack, claim, True).status_code == 200
    assert reached(stack, claim, status="paid")["result"]["decision"] == {"approved": True, "by": "Bob"}
    assert objects(stack, claim) == ["payment.json", "question-1.json"]
    assert decided(stack, claim, False).status_code == 409


def test_a_no_is_a_no(stack: Stack) -> None:
    claim = claimed(stack, 80_000)
    reached(stack, claim, status="awaiting_decision")
    decided(stack, claim, False).raise_for_status()
    assert reached(stack, claim, status="refused")["error"]["code"] == "rejected"
    assert "payment.json" not in objects(stack, claim)


def test_silence_is_asked_again_every_three_days_and_then_a_no(stack: Stack) -> None:
    clock = ServerClock(stack)
    claim = claimed(stack, 80_000)
    for round_ in (1, 2, 3):
        reached(stack, claim, status="awaiting_decision", round=round_)
        clock.advance(timedelta(days=2))
        assert reached(stack, claim, status="awaiting_decision")["round"] == round_
        clock.advance(timedelta(days=3, minutes=1))
    assert reached(stack, claim, status="refused")["error"]["code"] == "no_answer"
    assert objects(stack, claim) == ["question-1.json", "question-2.json", "question-3.json"]


def test_only_its_own_routes_are_served(stack: Stack) -> None:
    assert stack.api.get("/jobs").status_code == 404


def test_a_wrong_claim_is_told_which_fields(stack: Stack) -> None:
    answer = stack.api.post("/expenses", json={"claimId": "a b", "employee": "", "cents": "1", "extra": 1})
    assert answer.status_code == 400
    fields = {field["field"] for field in answer.json()["error"]["fields"]}
    assert fields == {"claimId", "employee", "cents", "currency", "purpose", "extra"}
