"""Documents by https://, over real TLS: successful downloads, and every way in which a download fails."""

import hashlib
import json
import uuid

import pytest

from harness.documents import accepted, job, step, submit, wait_until
from harness.stack import Stack
from harness.world import World

TEXT = b"The parties agree: Ada Ltd delivers the lamps to Bob Inc. by 2026-12-24 for 1,200 EUR.\n" * 20


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"MAX_DOCUMENT_MB": "1", "DOWNLOAD_SECONDS": "3", "STEP_RETRY_SECONDS": "0.3,0.3"}


def offered(world: World, *meets: str, body: bytes = TEXT, kind: str = "text/plain") -> tuple[str, str]:
    """A document and what its next requests meet: its name, its URL."""
    name = f"doc-{uuid.uuid4().hex[:8]}"
    url = world.document(name, body, kind)
    world.plan(name, *meets)
    return name, url


def test_a_document_by_https_is_what_the_server_sent(stack: Stack, world: World) -> None:
    name, url = offered(world)
    done = wait_until(stack, accepted(stack, documentUrl=url, type="report"), "done")
    assert [call["met"] for call in world.seen(name)] == ["ok"]
    report = json.loads(stack.read(done["result"]["resultUri"]))
    assert report["document"]["sha256"] == hashlib.sha256(TEXT).hexdigest()
    assert stack.read(report["document"]["uri"]) == TEXT
    assert report["document"]["mediaType"] == "text/plain"
    assert "Ada Ltd" in stack.read(report["text"]["uri"]).decode()


def test_redirects_are_followed_also_to_another_name_on_the_way(stack: Stack, world: World) -> None:
    _, last = offered(world, body=b"It is here. " + TEXT)
    _, second = offered(world, f"redirect {last}")
    _, first = offered(world, f"redirect {second.removeprefix(world.secure)}")  # a relative one
    done = wait_until(stack, accepted(stack, documentUrl=first, type="report"), "done")
    assert stack.read(done["result"]["document"]["uri"]).startswith(b"It is here.")


@pytest.mark.parametrize(
    ("met", "code"),
    [
        ("404", "document_not_found"),
        ("410", "document_not_found"),
        ("401", "document_not_readable"),
        ("403", "document_not_readable"),
        ("redirect https://169.254.169.254/latest/meta-data/", "url_not_allowed"),
        ("redirect https://inside:8443/doc/x", "url_not_allowed"),
        ("redirect http://example.com/", "url_not_allowed"),
        ("redirect file:///etc/passwd", "url_not_allowed"),
        ("redirect https://[127.0.0.1]/", "url_not_allowed"),
        ("redirect https://host:99999/", "url_not_allowed"),
        ("redirect https://168.63.129.16/", "url_not_allowed"),
        ("redirect s3://work/a/text.txt", "url_not_allowed"),
        ("endless", "document_too_large"),
    ],
)
def test_what_will_not_get_better_ends_the_job_at_once(
    stack: Stack, world: World, met: str, code: str
) -> None:
    name, url = offered(world, met)
    failed = wait_until(stack, accepted(stack, documentUrl=url), "failed")
    assert (failed["error"]["step"], failed["error"]["code"]) == ("download_document", code)
    assert step(failed, "download_document")["attempts"] == 1
    assert len(world.seen(name)) == 1


def test_a_document_that_says_it_is_too_large_is_not_fetched(stack: Stack, world: World) -> None:
    _, url = offered(world, body=b"x" * 1_000_001)
    failed = wait_until(stack, accepted(stack, documentUrl=url), "failed")
    assert failed["error"]["code"] == "document_too_large"
    assert "MAX_DOCUMENT_MB" in failed["error"]["message"]
    _, url = offered(world, body=b"word " * 200_000)  # 1 MB, just allowed
    wait_until(stack, accepted(stack, documentUrl=url, type="report"), "done")


def test_redirects_in_a_circle_end(stack: Stack, world: World) -> None:
    name, url = offered(world)
    world.plan(name, *[f"redirect {url}"] * 50)
    failed = wait_until(stack, accepted(stack, documentUrl=url), "failed")
    assert failed["error"]["code"] == "document_not_readable"
    assert len(world.seen(name)) == 6


@pytest.mark.parametrize("met", ["503", "429 retry-after 1", "cut", "slow 5"])
def test_what_may_pass_is_tried_again(stack: Stack, world: World, met: str) -> None:
    name, url = offered(world, met)
    done = wait_until(stack, accepted(stack, documentUrl=url, type="report"), "done")
    told = step(done, "download_document")
    assert (told["attempts"], told["lastError"]["code"]) == (2, "source_unavailable")
    assert stack.read(done["result"]["document"]["uri"]) == TEXT
    assert [call["met"] for call in world.seen(name)] == [met, "ok"]


def test_a_source_that_hangs_up_is_asked_again(stack: Stack, world: World) -> None:
    """On a connection that was idle the HTTP client itself asks again at once; so the source hangs up twice."""
    name, url = offered(world, "hang up", "hang up")
    done = wait_until(stack, accepted(stack, documentUrl=url, type="report"), "done")
    assert [call["met"] for call in world.seen(name)] == ["hang up", "hang up", "ok"]
    assert step(done, "download_document")["lastError"]["code"] == "source_unavailable"


def test_a_source_that_is_cut_off_every_time_is_given_up(stack: Stack, world: World) -> None:
    _, url = offered(world, *["cut"] * 9)
    job_id = accepted(stack, documentUrl=url)
    failed = wait_until(stack, job_id, "failed")
    assert failed["error"]["code"] == "source_unavailable"
    assert "given up after 3 tries" in failed["error"]["message"]
    # Nothing of half a document is left.
    assert stack.s3.list_objects_v2(Bucket="work", Prefix=f"{job_id}/")["KeyCount"] == 0


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(stack: Stack, world: World) -> None:
    _, url = offered(world)
    strange = url.replace(world.secure, world.strange)
    failed = wait_until(stack, accepted(stack, documentUrl=strange), "failed")
    assert failed["error"]["code"] == "document_not_readable"
    assert "certificate" in failed["error"]["message"]


@pytest.mark.parametrize(
    "url",
    [
        "https://inside:8443/doc/x",  # the very same server, by a name that is not in PRIVATE_HOSTS
        "https://server:8001/",
        "https://2852039166/",  # 169.254.169.254
    ],
)
def test_naming_a_host_opens_no_other(stack: Stack, url: str) -> None:
    failed = wait_until(stack, accepted(stack, documentUrl=url), "failed")
    assert (failed["error"]["step"], failed["error"]["code"]) == ("download_document", "url_not_allowed")
    assert step(failed, "download_document")["attempts"] == 1


def test_plain_http_is_refused_at_the_door(stack: Stack, world: World) -> None:
    answer = submit(stack, job(documentUrl=f"{world.inside}/doc/x"))
    assert answer.status_code == 400
    assert [field["field"] for field in answer.json()["error"]["fields"]] == ["documentUrl"]
