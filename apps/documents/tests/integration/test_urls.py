"""A job's URLs cannot reach the inside of the stack: each address is checked, under any name or spelling."""

import base64
import json

import pytest

from harness.documents import accepted, job, step, submit, wait_until
from harness.engine import inspect
from harness.stack import Stack

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
    "https://168.63.129.16/metadata/instance",
    "https://192.88.99.1/",
    "https://[fec0::1]/",
    "https://[64:ff9b:1::1]/",
]
#: Other jobs' texts and results, by more than one spelling, and what S3 has no name for.
OTHERS = [
    "s3://work/{other}/text.txt",
    "s3://results/{other}/result.json",
    "s3://WORK/{other}/text.txt",
    "s3://w%6frk/{other}/text.txt",
    "s3://work./{other}/text.txt",
    "s3://documents/../work/{other}/text.txt",
    "s3://documents/%2e%2e/work/{other}/text.txt",
    "s3://documents\\work/{other}/text.txt",
    "s3://mine-abcdefghijklmnop-s3alias/{other}/text.txt",
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


def past_the_function(stack: Stack, like: str, number: int, url: str) -> str:
    """Create a job with that URL directly on the server, where the function does not check it; returns its id."""
    job_id = f"{like}-{number}"
    root = stack.resonate("promise.get", id=f"doc/{like}")["data"]["promise"]
    call = json.loads(base64.b64decode(root["param"]["data"]))
    call["args"][0] |= {"jobId": job_id, "documentUrl": url}
    stack.resonate(
        "promise.create",
        id=f"doc/{job_id}",
        timeoutAt=root["timeoutAt"],
        param={"headers": {}, "data": base64.b64encode(json.dumps(call).encode()).decode()},
        tags={
            name: f"doc/{job_id}" if value == f"doc/{like}" else value for name, value in root["tags"].items()
        },
    )
    return job_id


def test_other_jobs_texts_and_results_are_no_documents(stack: Stack) -> None:
    """The function refuses them, and so does the worker if a job bypassed the function; at once, not after an hour of
    tries.
    """
    other = accepted(stack)
    wait_until(stack, other, "done", seconds=90)
    urls = [url.format(other=other) for url in OTHERS]
    for url in urls:
        answer = submit(stack, job(documentUrl=url))
        assert answer.status_code == 400, (url, answer.text)
        assert [field["field"] for field in answer.json()["error"]["fields"]] == ["documentUrl"], url
    jobs = {url: past_the_function(stack, other, number, url) for number, url in enumerate(urls)}
    for url, job_id in jobs.items():
        ended = wait_until(stack, job_id, "failed", seconds=90)
        assert (ended["error"]["step"], ended["error"]["code"]) == ("download_document", "url_not_allowed"), (
            url
        )
        assert step(ended, "download_document")["attempts"] == 1, url


def test_any_other_bucket_is_a_source(stack: Stack) -> None:
    """As in `s3://my-bucket/contract.pdf`: the job goes to look there."""
    stack.s3.create_bucket(Bucket="my-bucket")
    document = stack.s3.get_object(Bucket="documents", Key="contract.pdf")["Body"].read()
    stack.s3.put_object(Bucket="my-bucket", Key="contract.pdf", Body=document)
    wait_until(stack, accepted(stack, documentUrl="s3://my-bucket/contract.pdf"), "done", seconds=90)


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
