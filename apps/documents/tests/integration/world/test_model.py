"""The analysis by a model: an endpoint that speaks OpenAI's API and misbehaves on order."""

import json
import uuid

import pytest

from harness.documents import accepted, runs_of, status, step, wait_until
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import World


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {
        "ANALYZER_MODEL": "openai:test-model",
        "ANALYZER_BASE_URL": "http://world:8099/model/v1",
        "ANALYZER_CHUNK_CHARS": "5000",
        "ANALYZER_SECONDS": "3",
    }


def test_only_this_step_runs_again_whatever_the_endpoint_does(stack: Stack, world: World) -> None:
    # GIVEN an endpoint that fails in every way, then answers
    world.plan("model", "429 retry-after 1", "500", "malformed", "cut", "hang up", "slow 5", "ok")
    job_id = accepted(stack)
    # THEN a status call tells the tries and the last transient error meanwhile
    wait_for(
        lambda: (
            step(status(stack, job_id), "analyze_document").get("lastError", {}).get("code")
            == "analyzer_unavailable"
        ),
        "a transient error to be told",
    )
    # AND the job ends with what the model said, its tokens counted
    done = wait_until(stack, job_id, "done", seconds=90)
    analyzed = step(done, "analyze_document")
    assert analyzed["attempts"] == 7
    assert runs_of(stack, job_id)["download_document"] == 1
    result = json.loads(stack.read(done["result"]["resultUri"]))
    assert result["analysis"]["parties"] == [{"name": "Model Party", "role": "Client"}]
    assert result["analyzer"]["name"] == "openai:test-model"
    assert (result["analyzer"]["inputTokens"], result["analyzer"]["outputTokens"]) == (100, 20)


def test_a_long_document_is_read_in_parts_and_a_late_failure_costs_no_early_part(
    stack: Stack, world: World
) -> None:
    key = f"{uuid.uuid4().hex[:8]}.txt"
    body = "\n\n".join(f"Clause {n}. The Supplier shall deliver lot {n} in time." for n in range(250))
    stack.s3.put_object(Bucket="documents", Key=key, Body=body.encode())
    before = len(world.seen("model"))
    world.plan("model", "ok", "ok", "503")
    job_id = accepted(stack, documentUrl=f"s3://documents/{key}")
    done = wait_until(stack, job_id, "done", seconds=60)
    parts = done["result"]["analyzer"]["parts"]
    assert parts >= 3
    # Each part once, the one that failed twice, and one call for the summary of all.
    assert len(world.seen("model")) - before == parts + 2
    assert done["result"]["analysis"]["summary"] == "One summary of all parts."
    # Tokens of every call that was answered, 100 in and 20 out each.
    analyzer = done["result"]["analyzer"]
    assert (analyzer["inputTokens"], analyzer["outputTokens"]) == (100 * (parts + 1), 20 * (parts + 1))


def test_a_refused_key_ends_the_job_at_once_and_a_retry_goes_on_there(stack: Stack, world: World) -> None:
    world.plan("model", "401")
    job_id = accepted(stack)
    failed = wait_until(stack, job_id, "failed")
    assert (failed["error"]["step"], failed["error"]["code"]) == ("analyze_document", "analyzer_refused")
    assert stack.api.post(f"/jobs/{job_id}/retry").json()["resumesAt"] == "analyze_document"
    wait_until(stack, job_id, "done")
    assert runs_of(stack, job_id)["extract_text"] == 1


def test_answers_of_the_wrong_form_are_asked_for_again_a_few_times_only(stack: Stack, world: World) -> None:
    world.plan("model", *["wrong form"] * 20)
    job_id = accepted(stack)
    failed = wait_until(stack, job_id, "failed", seconds=60)
    assert failed["error"]["code"] == "analyzer_output_invalid"
    assert step(failed, "analyze_document")["attempts"] == 4
    world.plan("model")
