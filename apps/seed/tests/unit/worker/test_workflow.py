"""The seed's workflow on the SDK's server in memory, with an S3 of two verbs."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from resonate.resonate import Resonate
from resonate.retry import Never

import worker

LETTER = (Path(__file__).parents[3] / "samples/documents/letter.txt").read_bytes()
JOB = {"jobId": "job-1", "documentUrl": "s3://documents/a letter.txt", "requesterId": "you"}


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    held: dict[str, bytes] = {"/documents/a%20letter.txt": LETTER}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = held.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("content-length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def do_PUT(self) -> None:
            held[self.path] = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )
    monkeypatch.setattr(worker, "s3", client)
    yield held
    server.shutdown()
    server.server_close()


async def run(job: dict[str, Any]) -> Any:
    resonate = Resonate(env={}, retry_policy=Never())
    resonate.register(worker.process_document)
    try:
        return await resonate.run(f"seed/{job['jobId']}", worker.process_document, job).result()
    finally:
        await resonate.stop()


async def test_a_document_goes_through_the_four_steps(objects: dict[str, bytes]) -> None:
    found = await run(JOB)
    assert found == {
        "words": 44,
        "frequent": ["the", "it", "letter", "worker", "words"],
        "result": "s3://results/job-1/result.json",
        "notification": "s3://results/inbox/you/job-1.json",
    }
    assert objects["/results/job-1/document"] == LETTER
    assert json.loads(objects["/results/job-1/result.json"])["words"] == 44
    assert json.loads(objects["/results/inbox/you/job-1.json"])["result"] == found["result"]


async def test_a_document_that_is_not_there_fails_the_job(objects: dict[str, bytes]) -> None:
    with pytest.raises(ClientError, match="404"):
        await run({**JOB, "documentUrl": "s3://documents/none"})
    assert list(objects) == ["/documents/a%20letter.txt"]
