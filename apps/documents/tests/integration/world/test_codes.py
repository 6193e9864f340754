"""Every documented code, produced by a job that a user could submit."""

import io
import re
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.clock import ServerClock
from harness.documents import accepted, step, wait_until
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import World

APPLICATION = Path(__file__).parents[3]
SAMPLES = APPLICATION / "tests/unit/worker/documents"
Scenario = Callable[[Stack, World], str]
SCENARIOS: dict[str, Scenario] = {}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {
        "WORKER_S3_URL": "http://world:8098",
        "WORKER_TMP": "64m",
        "MAX_DOCUMENT_MB": "5",
        "STEP_RETRY_SECONDS": "0.2,0.2,0.2",
        "WEBHOOK_RETRY_SECONDS": "0.2,0.2",
        "ANALYZER_MODEL": "openai:test-model",
        "ANALYZER_BASE_URL": "http://world:8099/model/v1",
    }


@pytest.fixture(scope="module")
def debug() -> bool:
    return True


def produces(code: str) -> Callable[[Scenario], Scenario]:
    """The decorated function submits a job in which the code appears; it returns the job's id."""

    def kept(scenario: Scenario) -> Scenario:
        SCENARIOS[code] = scenario
        return scenario

    return kept


def put(stack: Stack, name: str, body: bytes) -> str:
    key = f"{uuid.uuid4().hex[:8]}/{name}"
    stack.s3.put_object(Bucket="documents", Key=key, Body=body)
    return f"s3://documents/{key}"


def document(name: str, body: bytes) -> Scenario:
    return lambda stack, world: accepted(stack, documentUrl=put(stack, name, body))


def url(address: str) -> Scenario:
    return lambda stack, world: accepted(stack, documentUrl=address)


def model(*meets: str) -> Scenario:
    def scenario(stack: Stack, world: World) -> str:
        world.plan("model", *meets)
        return accepted(stack)

    return scenario


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w:document/>")
        archive.writestr("word/media/bomb", b"\0" * 310_000_000)
    return packed.getvalue()


SCENARIOS |= {
    "document_not_found": url("s3://documents/never-uploaded.pdf"),
    # A bucket without permission, as S3 tells it: 403 AccessDenied, and to HEAD without a body.
    "document_not_readable": url("s3://locked/contract.pdf"),
    "document_too_large": document("a.txt", b"word " * 1_100_000),
    "document_empty": document("a.pdf", b""),
    "document_truncated": document("a.pdf", b"%PDF-1.7\n1 0 obj\n<<"),
    "document_corrupt": document("a.pdf", b"%PDF-1.7\n" + b"garbage " * 500 + b"\n%%EOF\n"),
    "document_encrypted": document("a.pdf", (SAMPLES / "encrypted.pdf").read_bytes()),
    "document_without_text": document("a.pdf", (SAMPLES / "picture-only.pdf").read_bytes()),
    "document_too_complex": document("a.docx", bomb()),
    "media_type_mismatch": document("a.pdf", b"<!doctype html><p>Please log in"),
    "media_type_unsupported": document("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 64),
    "url_not_allowed": url("https://169.254.169.254/latest/meta-data/"),
    "storage_unavailable": url("s3://busy/contract.pdf"),
    "analyzer_unavailable": model(*["503"] * 9),
    "analyzer_refused": model("401"),
    "analyzer_output_invalid": model(*["wrong form"] * 20),
}


@produces("source_unavailable")
def _(stack: Stack, world: World) -> str:
    name = uuid.uuid4().hex[:8]
    address = world.document(name, b"text")
    world.plan(name, *["503"] * 9)
    return accepted(stack, documentUrl=address)


@produces("checkpoint_lost")
def _(stack: Stack, world: World) -> str:
    job_id = accepted(stack, documentUrl=put(stack, "a.pdf", (SAMPLES / "encrypted.pdf").read_bytes()))
    wait_until(stack, job_id, "failed")
    stack.s3.delete_object(Bucket="work", Key=f"{job_id}/document")
    stack.api.post(f"/jobs/{job_id}/retry").raise_for_status()
    return job_id


@produces("receiver_unavailable")
def _(stack: Stack, world: World) -> str:
    return accepted(stack, callbackUrl=world.hook(uuid.uuid4().hex, *["500"] * 9))


@produces("receiver_refused")
def _(stack: Stack, world: World) -> str:
    return accepted(stack, callbackUrl=world.hook(uuid.uuid4().hex, "410"))


@produces("rejected")
def _(stack: Stack, world: World) -> str:
    job_id = accepted(stack, requiresApproval=True)
    wait_until(stack, job_id, "awaiting_approval")
    stack.api.post(f"/approve/{job_id}", json={"approved": False, "approver": "a"}).raise_for_status()
    return job_id


@produces("internal_error")
def _(stack: Stack, world: World) -> str:
    """The worker's disk is full."""
    worker = ("exec", "-T", "worker", "sh", "-c")
    stack.compose(*worker, "cat /dev/zero > /tmp/full", check=False)
    try:
        job_id = accepted(stack)
        wait_until(stack, job_id, "failed")
    finally:
        stack.compose(*worker, "rm /tmp/full")
    return job_id


@produces("timed_out")
def _(stack: Stack, world: World) -> str:
    job_id = accepted(stack, requiresApproval=True)
    wait_until(stack, job_id, "awaiting_approval")
    ServerClock(stack).advance(timedelta(days=3651))
    return job_id


@pytest.mark.parametrize("code", SCENARIOS)
def test_code_is_told_in_the_status(stack: Stack, world: World, code: str) -> None:
    world.plan("model")
    job_id = SCENARIOS[code](stack, world)
    seen = wait_until(stack, job_id, *(["done"] if code.startswith("receiver_") else ["failed"]), seconds=90)
    failed: dict[str, Any]
    if seen["status"] == "done":  # that nobody could be told does not undo the job
        failed = step(seen, "notify_requester")["error"]
        assert seen["result"]["notification"]["delivered"] is False
    else:
        failed = seen["error"]
    assert failed["code"] == code, seen
    assert failed["message"]
    # Whoever knows the step from the job finds the same at the step.
    if code != "timed_out":
        told = step(seen, failed["step"])
        assert (told["state"], told["error"]) == ("failed", failed)


def test_every_documented_code_is_produced_here() -> None:
    page = (APPLICATION / "docs/workflow.md").read_text(encoding="utf-8")
    table = page.partition("## How a job fails")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    # worker_lost takes a worker that can be killed: the stack's tests/integration/worker/test_poison.py.
    assert sorted(documented) == sorted([*SCENARIOS, "worker_lost"])


def test_an_unreadable_bucket_can_be_granted_and_the_job_retried(stack: Stack, world: World) -> None:
    """403 is not tried again by itself: nobody grants a permission within seconds."""
    job_id = accepted(stack, documentUrl="s3://locked/contract.pdf")
    failed = wait_until(stack, job_id, "failed")
    assert step(failed, "download_document")["attempts"] == 1
    assert "s3://locked/contract.pdf" in failed["error"]["message"]
    assert stack.api.post(f"/jobs/{job_id}/retry").json()["resumesAt"] == "download_document"
    wait_for(lambda: wait_until(stack, job_id, "failed")["attempt"] == 2, "the second attempt")
