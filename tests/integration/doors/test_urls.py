"""A job's URLs lead out, never in: each address is checked, by whatever name or spelling it goes."""

import pytest

from harness.jobs import accepted, wait_until
from harness.stack import Stack, inspect

INSIDE = [
    "https://server:8001/health",
    "https://localstack:4566/documents/contract.pdf",
    "https://lambda:8080/2015-03-31/functions/function/invocations",
    "https://localhost/",
    "https://127.0.0.1:8001/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:169.254.169.254]/",
    "https://2852039166/",
    "https://[fd00:ec2::254]/",
    "https://10.0.0.1/",
]


def test_a_document_s_url_cannot_reach_the_inside(stack: Stack) -> None:
    container = inspect(stack.containers("server")[0])
    own = [network["IPAddress"] for network in container["NetworkSettings"]["Networks"].values()]
    urls = [*INSIDE, *(f"https://{address}:8001/" for address in own)]
    jobs = {url: accepted(stack, documentUrl=url) for url in urls}
    for url, job_id in jobs.items():
        ended = wait_until(stack, job_id, "failed", seconds=90)
        assert ended["error"]["step"] == "download_document", (url, ended)
        assert ended["error"]["code"] == "url_not_allowed", (url, ended)


@pytest.mark.parametrize("scheme", ["http", "file", "ftp", "gopher"])
def test_other_schemes_are_refused_at_the_door(stack: Stack, scheme: str) -> None:
    body = {
        "jobId": "a",
        "documentUrl": f"{scheme}://example.com/a.pdf",
        "requesterId": "r",
        "type": "contract",
    }
    answer = stack.api.post("/process-document", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["fields"][0]["field"] == "documentUrl"


def test_a_webhook_cannot_reach_the_inside_and_the_job_says_so(stack: Stack) -> None:
    job_id = accepted(stack, callbackUrl="https://server:8001/")
    done = wait_until(stack, job_id, "done", seconds=90)
    notification = done["result"]["notification"]
    assert notification["delivered"] is False, notification
    assert "private address" in str(notification), notification
