"""Who owns a job, and what that allows the holder of a token to do; docs/workflow.md has the table."""

from typing import Any

import pytest

from api.callers import Caller, caller
from conftest import Call, FakePromises
from contract import Job as JobModel
from contract import approval_id, step_id
from durable_lambda.faults import Fault, failure_text

JOB: dict[str, Any] = {
    "jobId": "job-1",
    "documentUrl": "s3://documents/contract.pdf",
    "requesterId": "ada",
    "type": "contract",
    "requiresApproval": True,
}
ADA = {"sub": "ada"}
BOB = {"sub": "bob"}
BOSS = {"sub": "boss", "scope": "openid jobs:approve"}
SERVICE = {"sub": "service", "scope": "jobs:any"}
APPROVED = {"approved": True, "approver": "boss"}


@pytest.fixture
def waiting(call: Call, promises: FakePromises) -> str:
    """Ada's job, which waits for approval; its question's promise."""
    assert call("POST", "/process-document", JOB, claims=ADA)[0] == 202
    promises.step(JOB, "await_approval", "pending")
    question = approval_id(step_id(JobModel(**JOB), "await_approval"))
    promises.settle(question, "pending", None, param={})
    return question


def code(answer: tuple[int, dict[str, Any], dict[str, Any]]) -> tuple[int, str]:
    status, body, _ = answer
    return status, body.get("error", {}).get("code", "")


def test_a_job_is_its_token_s_holder_s(call: Call, promises: FakePromises) -> None:
    assert call("POST", "/process-document", JOB, claims=ADA)[0] == 202
    assert code(call("POST", "/process-document", JOB, claims=BOB)) == (403, "requester_mismatch")
    assert code(call("POST", "/process-document", JOB, claims={})) == (403, "requester_mismatch")


def test_a_service_may_submit_for_others(call: Call, promises: FakePromises) -> None:
    assert call("POST", "/process-document", JOB, claims=SERVICE)[0] == 202
    assert call("GET", "/status/job-1", claims=ADA)[0] == 200


@pytest.mark.parametrize(
    "subject", ["auth0|5f7c8ec7c33c6c004bbafe82", "client@clients", "arn:x", "a.b+c@example.com"]
)
def test_subjects_of_the_usual_issuers_are_requesters(
    call: Call, promises: FakePromises, subject: str
) -> None:
    assert (
        call("POST", "/process-document", {**JOB, "requesterId": subject}, claims={"sub": subject})[0] == 202
    )


def test_a_job_of_somebody_else_is_answered_as_one_that_does_not_exist(call: Call, waiting: str) -> None:
    for method, path, body in (
        ("GET", "/status/{}", None),
        ("DELETE", "/jobs/{}", None),
        ("POST", "/jobs/{}/retry", None),
        ("POST", "/approve/{}", {"approved": True, "approver": "bob"}),
    ):
        theirs = call(method, path.format("job-1"), body, claims=BOB)
        nobodys = call(method, path.format("job-2"), body, claims=BOB)
        assert code(theirs) == (404, "job_not_found")
        said = theirs[1]["error"]["message"].replace("job-1", "job-2")
        assert said == nobodys[1]["error"]["message"]


def test_a_taken_job_id_tells_nothing_of_the_other_job(call: Call, waiting: str) -> None:
    status, body, _ = call("POST", "/process-document", {**JOB, "requesterId": "bob"}, claims=BOB)
    assert (status, body["error"]["code"]) == (409, "job_conflict")
    assert "requesterId" not in body["error"]["message"]
    assert "ada" not in body["error"]["message"]


def test_its_requester_reads_and_cancels_it(call: Call, waiting: str) -> None:
    assert call("GET", "/status/job-1", claims=ADA)[0] == 200
    assert call("DELETE", "/jobs/job-1", claims=ADA)[0] == 200


def test_its_requester_retries_it(call: Call, promises: FakePromises) -> None:
    call("POST", "/process-document", JOB, claims=ADA)
    fault = Fault(step="download_document", code="document_empty", message="Because.")
    promises.settle("doc/job-1", "rejected", {"message": failure_text(fault)})
    assert code(call("POST", "/jobs/job-1/retry", claims=BOB)) == (404, "job_not_found")
    assert call("POST", "/jobs/job-1/retry", claims=ADA)[0] == 202
    assert promises.records["doc/job-1~2"].tags["document:requester"] == "ada"


@pytest.mark.parametrize(
    ("claims", "approver", "expected"),
    [
        (ADA, "ada", "scope_missing"),
        (ADA | {"scope": "jobs:approve"}, "ada", "own_job"),
        (BOSS, "somebody else", "approver_mismatch"),
        (SERVICE, "service", "scope_missing"),
    ],
)
def test_approval_takes_the_scope_another_person_and_the_own_name(
    call: Call, promises: FakePromises, waiting: str, claims: dict[str, str], approver: str, expected: str
) -> None:
    answer = call("POST", "/approve/job-1", {"approved": True, "approver": approver}, claims=claims)
    assert code(answer) == (403, expected)
    assert promises.records[waiting].state == "pending"


def test_who_may_approve_reads_the_job_and_decides_it(
    call: Call, promises: FakePromises, waiting: str
) -> None:
    assert call("GET", "/status/job-1", claims=BOSS)[0] == 200
    assert call("POST", "/approve/job-1", APPROVED, claims=BOSS)[0] == 200
    assert (promises.records[waiting].value.data or {})["approver"] == "boss"
    # Deciding about it does not mean owning it.
    assert code(call("DELETE", "/jobs/job-1", claims=BOSS)) == (403, "not_yours")


def test_who_may_approve_reads_no_job_that_asks_for_none(call: Call, promises: FakePromises) -> None:
    call("POST", "/process-document", {**JOB, "requiresApproval": False}, claims=ADA)
    assert code(call("GET", "/status/job-1", claims=BOSS)) == (404, "job_not_found")


def test_the_list_has_what_its_reader_may_see(call: Call, promises: FakePromises) -> None:
    for number, (requester, approval) in enumerate(
        [("ada", True), ("ada", False), ("bob", False), ("bob", True)]
    ):
        job = JOB | {"jobId": f"job-{number}", "requesterId": requester, "requiresApproval": approval}
        assert call("POST", "/process-document", job, claims={"sub": requester})[0] == 202
    seen = {
        name: [job["jobId"] for job in call("GET", "/jobs", claims=claims)[1]["jobs"]]
        for name, claims in {"ada": ADA, "bob": BOB, "boss": BOSS, "service": SERVICE}.items()
    }
    assert seen == {
        "ada": ["job-0", "job-1"],
        "bob": ["job-2", "job-3"],
        "boss": ["job-0", "job-3"],
        "service": ["job-0", "job-1", "job-2", "job-3"],
    }
    assert len(call("GET", "/jobs")[1]["jobs"]) == 4


def test_without_a_token_nobody_is_asked(call: Call, promises: FakePromises, waiting: str) -> None:
    assert call("GET", "/status/job-1")[0] == 200
    assert call("POST", "/approve/job-1", APPROVED)[0] == 200
    assert call("DELETE", "/jobs/job-1")[0] == 200


@pytest.mark.parametrize(
    ("authorizer", "expected"),
    [
        (None, None),
        ({"iam": {"userArn": "arn:aws:iam::000000000000:user/a"}}, None),
        ({"lambda": {"sub": "a"}}, None),
        ({"jwt": {"claims": {"sub": "a"}, "scopes": None}}, Caller("a", frozenset())),
        ({"jwt": {"claims": {"sub": "a", "scope": "b c"}}}, Caller("a", frozenset({"b", "c"}))),
        ({"jwt": {"claims": {"sub": "a", "scp": "[b c]"}}}, Caller("a", frozenset({"b", "c"}))),
        ({"claims": {"sub": "a", "scope": "b"}, "scopes": None}, Caller("a", frozenset({"b"}))),
        ({"claims": {"client_id": "x"}}, Caller("", frozenset())),
    ],
)
def test_a_caller_is_whom_a_jwt_authorizer_names(authorizer: Any, expected: Caller | None) -> None:
    assert caller({"requestContext": {"authorizer": authorizer}}) == expected
