"""A web page that somebody opens on this machine can do nothing, at any of the stack's ports.

Each request is what a browser sends: it sets `Host`, `Origin` and `Sec-Fetch-…` itself, and a page cannot change them.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from harness.engine import docker, inspect
from harness.stack import Stack
from harness.waiting import wait_for

EVIL = "https://evil.example"
INVOKE = "/2015-03-31/functions/function/invocations"
#: An event that the function would answer: the status of a job that does not exist.
EVENT = {
    "version": "2.0",
    "rawPath": "/status/none",
    "requestContext": {"http": {"method": "GET", "path": "/status/none"}, "stage": "$default"},
}
SEARCH = {"kind": "promise.get", "head": {"corrId": "c", "version": "2026-04-01"}, "data": {"id": "none"}}
#: For each port, a request that it serves: address, method, path, body, and the status of the answer.
DOORS: dict[str, tuple[str, str, str, Any, int]] = {
    "HTTP API": ("api_url", "GET", "/status/none", None, 404),
    "HTTP API, a change": ("api_url", "DELETE", "/jobs/none", None, 404),
    "Lambda API": ("lambda_url", "POST", INVOKE, EVENT, 200),
    "Lambda API, dead letters": ("lambda_url", "GET", "/_local/dead-letters", None, 200),
    "Resonate server": ("resonate_url", "POST", "/", SEARCH, 404),
    "Resonate server, health": ("resonate_url", "GET", "/health", None, 200),
    "metrics": ("metrics_url", "GET", "/metrics", None, 200),
    "S3": ("s3_url", "GET", "/documents?list-type=2", None, 200),
    "S3, an object": ("s3_url", "GET", "/documents/contract.pdf", None, 200),
    "LocalStack": ("s3_url", "GET", "/_localstack/health", None, 200),
}


def ask(stack: Stack, door: str, method: str = "", **headers: str) -> httpx.Response:
    address, usual, path, body, _ = DOORS[door]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if body is None else json.dumps(body).encode()
    return httpx.request(
        method or usual, getattr(stack, address) + path, content=content, headers=named, timeout=35
    )


def unreadable(answer: httpx.Response) -> bool:
    """Whether a browser hides the answer from every page."""
    return "access-control-allow-origin" not in answer.headers


def lists_documents(stack: Stack) -> set[str]:
    return {entry["Key"] for entry in stack.s3.list_objects_v2(Bucket="documents")["Contents"]}


@pytest.mark.parametrize("door", DOORS)
def test_a_command_line_is_served_whatever_type_it_says(stack: Stack, door: str) -> None:
    expected = DOORS[door][-1]
    for kind in ("application/x-www-form-urlencoded", "application/json", "text/plain"):
        assert ask(stack, door, content_type=kind).status_code == expected
    # As for an address that somebody typed in.
    assert ask(stack, door, sec_fetch_site="none", sec_fetch_mode="navigate").status_code == expected


@pytest.mark.parametrize("door", DOORS)
def test_dns_rebinding_ends_at_the_host(stack: Stack, door: str) -> None:
    """The page's name now resolves to 127.0.0.1: to the browser the port is the page's own origin, so the page could
    read answers.
    """
    port = getattr(stack, DOORS[door][0]).rpartition(":")[2]
    for host in (f"evil.example:{port}", f"0.0.0.0:{port}", f"localhost.evil.example:{port}", "evil.example"):
        answer = ask(stack, door, host=host, sec_fetch_site="same-origin")
        assert answer.status_code == 403, host
        assert "evil.example" not in answer.text or "ALLOWED_HOSTS" in answer.text


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://localhost:3000", "https://app.localstack.cloud", "file://"]
)
@pytest.mark.parametrize("door", DOORS)
def test_a_foreign_page_gets_nothing_done_and_reads_nothing(stack: Stack, door: str, origin: str) -> None:
    for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
        answer = ask(stack, door, origin=origin, content_type=kind)
        assert answer.status_code == 403
        assert unreadable(answer)
    preflight = ask(stack, door, "OPTIONS", origin=origin, access_control_request_method="POST")
    assert preflight.status_code == 403
    assert unreadable(preflight)


@pytest.mark.parametrize("door", DOORS)
def test_what_a_page_loads_without_an_origin_is_refused_too(stack: Stack, door: str) -> None:
    for site in ("cross-site", "same-site"):
        for what in ("image", "script", "iframe"):
            mode = "navigate" if what == "iframe" else "no-cors"
            answer = ask(stack, door, "GET", sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=what)
            assert answer.status_code == 403, (site, what)


@pytest.mark.parametrize(("door", "status"), [("HTTP API", 404), ("S3, an object", 200), ("metrics", 403)])
def test_a_link_leads_to_what_people_read(stack: Stack, door: str, status: int) -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert ask(stack, door, **link).status_code == status


def test_an_image_cannot_open_a_workers_stream(stack: Stack) -> None:
    answer = httpx.get(
        f"{stack.resonate_url}/poll/worker/x",
        headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    )
    assert answer.status_code == 403


def test_a_page_submits_no_job(stack: Stack) -> None:
    job = f"page-{uuid.uuid4().hex[:8]}"
    body = json.dumps(
        {
            "jobId": job,
            "documentUrl": "s3://documents/contract.pdf",
            "requesterId": "evil",
            "type": "contract",
        }
    )
    headers = {"origin": EVIL, "content-type": "text/plain"}
    event = EVENT | {
        "rawPath": "/process-document",
        "requestContext": {"http": {"method": "POST", "path": "/process-document"}, "stage": "$default"},
        "body": body,
    }
    promise = SEARCH | {
        "kind": "promise.create",
        "data": {"id": f"doc/{job}", "timeoutAt": 4_000_000_000_000, "param": {}, "tags": {}},
    }
    for url, content in (
        (f"{stack.api_url}/process-document", body),
        (f"{stack.lambda_url}{INVOKE}", json.dumps(event)),
        (stack.resonate_url, json.dumps(promise)),
    ):
        assert httpx.post(url, content=content, headers=headers).status_code == 403
    assert stack.api.get(f"/status/{job}").status_code == 404


def test_a_page_changes_nothing_in_s3(stack: Stack) -> None:
    before = lists_documents(stack)
    url, headers = f"{stack.s3_url}/documents", {"origin": EVIL}
    form = httpx.post(url, data={"key": "evil.txt"}, files={"file": b"evil"}, headers=headers)
    several = httpx.post(
        f"{url}?delete",
        content=b"<Delete><Object><Key>contract.pdf</Key></Object></Delete>",
        headers=headers | {"content-type": "text/plain"},
    )
    one = httpx.delete(f"{url}/contract.pdf", headers=headers)
    put = httpx.put(f"{url}/evil.txt", content=b"evil", headers=headers)
    cors = httpx.put(f"{url}?cors", content=b"<CORSConfiguration/>", headers=headers)
    restart = httpx.post(f"{stack.s3_url}/_localstack/health", content=b'{"action": "kill"}', headers=headers)
    for answer in (form, several, one, put, cors, restart):
        assert answer.status_code == 403
        assert unreadable(answer)
    assert form.headers["content-type"] == "application/xml"
    assert "<Code>AccessDenied</Code>" in form.text
    assert lists_documents(stack) == before


@pytest.fixture
def open_bucket(stack: Stack) -> Iterator[str]:
    """A bucket whose own CORS rules let one page read."""
    name = f"open-{uuid.uuid4().hex[:8]}"
    stack.s3.create_bucket(Bucket=name)
    stack.s3.put_object(Bucket=name, Key="a.txt", Body=b"open")
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://app.example.org"]}
    stack.s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    yield name
    stack.s3.delete_object(Bucket=name, Key="a.txt")
    stack.s3.delete_bucket(Bucket=name)


def test_a_bucket_may_let_a_page_in_by_its_own_rules(stack: Stack, open_bucket: str) -> None:
    page = {"origin": "https://app.example.org", "sec-fetch-site": "cross-site"}
    url = stack.s3.generate_presigned_url("get_object", Params={"Bucket": open_bucket, "Key": "a.txt"})
    answer = httpx.get(url, headers=page)
    assert (answer.status_code, answer.text) == (200, "open")
    assert answer.headers["access-control-allow-origin"] == page["origin"]
    preflight = httpx.options(url, headers=page | {"access-control-request-method": "GET"})
    assert preflight.status_code == 200
    # No other method, page or bucket is let in.
    assert httpx.put(url, content=b"x", headers=page).status_code == 403
    assert httpx.get(url, headers=page | {"origin": EVIL}).status_code == 403
    assert httpx.get(f"{stack.s3_url}/documents/contract.pdf", headers=page).status_code == 403
    assert (
        httpx.get(f"{stack.s3_url}/{open_bucket}/a.txt", headers=page | {"host": "evil.example"}).status_code
        == 403
    )


def test_buckets_go_on_being_found_by_name(stack: Stack) -> None:
    port = stack.settings["S3_PORT"]
    for host in (
        "documents.s3.localhost.localstack.cloud",
        "documents.s3.us-east-1.localhost.localstack.cloud",
    ):
        answer = httpx.get(f"{stack.s3_url}/contract.pdf", headers={"host": f"{host}:{port}"})
        assert answer.status_code == 200, host
        assert answer.content.startswith(b"%PDF")
    script = (
        "import boto3; from botocore.config import Config;"
        "s3 = boto3.client('s3', config=Config(s3={'addressing_style': 'path'}));"
        "print(s3.head_object(Bucket='documents', Key='contract.pdf')['ContentLength'])"
    )
    assert int(docker("exec", stack.containers("worker")[0], "python", "-c", script)) > 0


def test_a_presigned_url_works_from_a_command_line(stack: Stack) -> None:
    url = stack.s3.generate_presigned_url("put_object", Params={"Bucket": "work", "Key": "pages/a.txt"})
    assert httpx.put(url, content=b"a").status_code == 200
    fields = stack.s3.generate_presigned_post("work", "pages/b.txt")
    answer = httpx.post(fields["url"], data=fields["fields"], files={"file": b"b"})
    assert answer.status_code == 204
    for key in ("pages/a.txt", "pages/b.txt"):
        stack.s3.delete_object(Bucket="work", Key=key)
    with pytest.raises(ClientError):
        stack.s3.head_object(Bucket="work", Key="pages/a.txt")


@pytest.mark.parametrize(
    ("service", "port", "method", "path"),
    [
        ("lambda", 8080, "POST", INVOKE),
        ("gateway", 9000, "POST", INVOKE),
        ("localstack", 4566, "DELETE", "/documents/contract.pdf"),
    ],
)
def test_a_containers_own_address_is_no_way_around(
    stack: Stack, service: str, port: int, method: str, path: str
) -> None:
    """On Linux, this machine reaches the containers by their addresses on Docker's bridge, and so does a browser on it."""
    networks = inspect(stack.containers(service)[0])["NetworkSettings"]["Networks"]
    address = next(network["IPAddress"] for network in networks.values())
    url = f"http://{address}:{port}{path}"
    for headers in ({"origin": EVIL}, {"host": "evil.example"}, {}):
        answer = httpx.request(method, url, content=json.dumps(EVENT).encode(), headers=headers)
        assert answer.status_code == 403, headers


def served(stack: Stack) -> int:
    """How many invocations all environments have had."""
    script = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/health').read().decode())"
    found = [docker("exec", name, "python", "-c", script) for name in stack.containers("lambda")]
    return sum(json.loads(health)["served"] for health in found)


def offers(stack: Stack) -> int:
    """How many tasks the server has offered so far."""
    for line in httpx.get(f"{stack.metrics_url}/metrics").text.splitlines():
        if line.startswith('resonate_messages_total{kind="execute"}'):
            return int(float(line.split()[-1]))
    return 0


def test_the_server_posts_to_no_address_inside(stack: Stack) -> None:
    """Otherwise, anybody who may create a promise could make the server call addresses that only the server can reach."""
    id = f"pages/{uuid.uuid4().hex[:8]}"
    target = f"http://lambda:8080{INVOKE}"
    before, offered = served(stack), offers(stack)
    made = stack.resonate(
        "promise.create",
        id=id,
        timeoutAt=4_000_000_000_000,
        param={},
        tags={"resonate:target": target},
    )
    assert made["head"]["status"] == 200
    stack.resonate("promise.register_listener", awaited=id, address=target)
    # WHEN it was offered, and offered again
    wait_for(lambda: offers(stack) >= offered + 2, "the task to be offered twice")
    stack.resonate("promise.settle", id=id, state="resolved", value={})
    assert served(stack) == before
