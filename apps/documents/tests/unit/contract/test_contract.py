"""The contract: what a job is, its steps in order, and the ids of their promises."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contract import FAULTS, Job, Verdict, approval_id, step_id, steps_of
from durable_lambda.ids import JOB_ID, root_id

JOB: dict[str, Any] = {
    "jobId": "job-1",
    "documentUrl": "s3://documents/a.pdf",
    "requesterId": "someone@example.com",
    "type": "contract",
}


def test_steps_are_in_order_and_approval_is_there_only_when_asked_for() -> None:
    plain = steps_of(Job(**JOB))
    assert plain == (
        "download_document",
        "extract_text",
        "analyze_document",
        "store_results",
        "notify_requester",
    )
    assert steps_of(Job(**JOB, requiresApproval=True)) == (*plain[:3], "await_approval", *plain[3:])


def test_step_n_is_the_nth_child_of_the_root() -> None:
    job = Job(**JOB, requiresApproval=True)
    assert root_id("job-1") == "doc/job-1"
    assert [step_id(job, name) for name in steps_of(job)] == [f"doc/job-1:{n}" for n in range(1, 7)]
    assert approval_id(step_id(job, "await_approval")) == "doc/job-1:4.1"


def test_a_retried_job_counts_from_the_step_it_resumes_at() -> None:
    job = Job(**JOB)
    assert root_id("job-1", 3) == "doc/job-1~3"
    assert step_id(job, "store_results", attempt=3, first="analyze_document") == "doc/job-1~3:2"


@given(st.text(max_size=200))
def test_whatever_is_no_job_id_is_refused(text: str) -> None:
    if re.fullmatch(JOB_ID, text) and not text.endswith("\n"):
        return
    with pytest.raises(ValidationError):
        Job(**{**JOB, "jobId": text})


@pytest.mark.parametrize(
    "url",
    ["s3://documents/a.pdf", "s3://documents/a b.pdf".replace(" ", "%20"), "https://example.com/a?b=c#d"],
)
def test_document_urls_that_are_good(url: str) -> None:
    assert Job(**{**JOB, "documentUrl": url}).documentUrl == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.pdf",
        "ftp://example.com/a",
        "http://example.com/a",
        "file:///etc/passwd",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "https://",
        f"https://{'a' * 64}.example/a.pdf",
        "https:///a",
        "https://user:secret@example.com/",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https://example.com/\n",
        "https://[::1",
        "s3://" + "b" * 2050,
    ],
)
def test_document_urls_that_are_not(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Job(**{**JOB, "documentUrl": url})
    assert [error["loc"] for error in caught.value.errors()] == [("documentUrl",)]


def test_misspelt_and_loosely_typed_fields_are_refused() -> None:
    for extra in ({"requireApproval": True}, {"requiresApproval": "yes"}, {"requiresApproval": 1}):
        with pytest.raises(ValidationError):
            Job(**{**JOB, **extra})
    with pytest.raises(ValidationError):
        Verdict(approved="true", approver="me")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Verdict(approved=True, approver="   ")


def test_every_code_says_what_it_means() -> None:
    assert all(re.fullmatch(r"[a-z_]+", code) and text.endswith(".") for code, text in FAULTS.items())
