"""What the function of the expenses answers, for events of both payload versions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import lambda_function
from durable_lambda.faults import Fault, failure_text
from durable_lambda.function.events import synthetic
from durable_lambda.function.promises import args_of
from durable_lambda.function.testing import PromisesInMemory, event_of
from expenses import ROUNDS, decision_id

CLAIM = {"claimId": "c-1", "employee": "ada", "cents": 12_300, "currency": "EUR", "purpose": "train"}
pytestmark = pytest.mark.parametrize("version", ["2.0", "1.0"])


@pytest.fixture
def promises(monkeypatch: pytest.MonkeyPatch) -> Iterator[PromisesInMemory]:
    fake = PromisesInMemory()
    monkeypatch.setattr(lambda_function.app, "promises", fake)
    yield fake
    fake.close()


def call(version: str, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    answer = lambda_function.lambda_handler(event_of(version, method, path, body))
    return answer["statusCode"], json.loads(answer["body"])


def test_a_claim_is_accepted_with_its_promise_and_the_same_again_is_the_same(
    version: str, promises: PromisesInMemory
) -> None:
    for _ in range(2):
        assert call(version, "POST", "/expenses", CLAIM) == (202, {"status": "accepted", "claimId": "c-1"})
    assert args_of(promises.records["expense/c-1"]) == [CLAIM]
    status, body = call(version, "POST", "/expenses", {**CLAIM, "cents": 1})
    assert (status, body["error"]["code"]) == (409, "claim_conflict")


def test_wrong_fields_are_named(version: str, promises: PromisesInMemory) -> None:
    status, body = call(
        version, "POST", "/expenses", {**CLAIM, "claimId": "a b", "cents": 0, "currency": "euro"}
    )
    assert status == 400
    fields = {field["field"]: field["message"] for field in body["error"]["fields"]}
    assert fields["claimId"] == "must be 1 to 128 letters, digits or . _ -, beginning with a letter or digit"
    assert fields.keys() == {"claimId", "cents", "currency"}
    assert promises.records == {}


def test_a_decision_goes_to_the_round_that_is_open(version: str, promises: PromisesInMemory) -> None:
    assert call(version, "GET", "/expenses/c-1")[1]["error"]["code"] == "claim_not_found"
    call(version, "POST", "/expenses", CLAIM)
    assert call(version, "GET", "/expenses/c-1")[1]["status"] == "processing"
    decision = {"approved": True, "by": "boss"}
    assert call(version, "POST", "/expenses/c-1/decision", decision)[0] == 409
    promises.settle(decision_id("c-1", 1), "rejected_timedout", None)
    promises.settle(decision_id("c-1", 2), "pending", None)
    assert call(version, "GET", "/expenses/c-1")[1] == {
        "claimId": "c-1",
        "status": "awaiting_decision",
        "round": 2,
    }
    assert call(version, "POST", "/expenses/c-1/decision", decision)[0] == 200
    assert promises.records["expense/c-1:4"].value.data == decision
    assert ROUNDS == 3


def test_paid_and_refused(version: str, promises: PromisesInMemory) -> None:
    call(version, "POST", "/expenses", CLAIM)
    promises.settle("expense/c-1", "resolved", {"payment": "s3://ledger/x"})
    assert call(version, "GET", "/expenses/c-1")[1]["status"] == "paid"
    call(version, "POST", "/expenses", {**CLAIM, "claimId": "c-2"})
    fault = Fault(step="ask", code="rejected", message="boss said no.")
    promises.settle("expense/c-2", "rejected", {"message": failure_text(fault)})
    seen = call(version, "GET", "/expenses/c-2")[1]
    assert (seen["status"], seen["error"]["code"]) == ("refused", "rejected")


def test_the_example_and_a_body_alone_are_claims(version: str, promises: PromisesInMemory) -> None:
    assert lambda_function.lambda_handler(*synthetic(["c-7"]))["statusCode"] == 202
    assert (
        lambda_function.lambda_handler({"body": json.dumps({**CLAIM, "claimId": "c-8"})})["statusCode"] == 202
    )
    assert promises.records.keys() == {"expense/c-7", "expense/c-8"}
