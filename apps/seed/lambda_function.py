"""The function: hands documents over to the worker, and says where they are. It does no work itself."""

from __future__ import annotations

import base64
import json
import os
import re
from typing import Any

from durable_lambda import Resonate

resonate = Resonate.remote(group="gateway")  # made once for each execution environment
RULES = {
    "jobId": r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
    "requesterId": r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}",
    "documentUrl": f"s3://{re.escape(os.environ.get('DOCUMENTS_BUCKET', 'documents'))}/(?!.*[.][.]).+",
}


def lambda_handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Answer an event of API Gateway, payload 2.0 or 1.0. One without method and path is a new job."""
    http = (event.get("requestContext") or {}).get("http") or {}
    method = event.get("httpMethod") or http.get("method") or "POST"
    path = event.get("path") or event.get("rawPath") or "/process-document"
    try:
        if method == "POST" and path == "/process-document":
            return process_document(event)
        if method == "GET" and path.startswith("/status/"):
            return status(path.removeprefix("/status/"))
    except ConnectionError as error:  # the Resonate server cannot be reached; nothing is lost
        return answer(503, {"error": str(error)}, {"Retry-After": "2"})
    return answer(404, {"error": "Send POST /process-document or GET /status/{jobId}."})


def process_document(event: dict[str, Any]) -> dict[str, Any]:
    """Hand the job over. The answer is 202 only once its promise exists on the server."""
    text = event.get("body") or ""
    try:
        job = json.loads(base64.b64decode(text) if event.get("isBase64Encoded") else text)
        good = all(re.fullmatch(rule, job[name]) for name, rule in RULES.items())
    except (ValueError, TypeError, KeyError):  # not JSON, not an object, not texts, not all of them
        good = False
    if not good:
        return answer(
            400, {"error": f"Send a JSON object with {', '.join(f'{k} ({v})' for k, v in RULES.items())}."}
        )
    resonate.options(target="poll://any@worker").begin_rpc(f"seed/{job['jobId']}", "process_document", job)
    return answer(202, {"status": "accepted", "jobId": job["jobId"]})


def status(job_id: str) -> dict[str, Any]:
    """Look at the job's promise: not there, pending, resolved or rejected."""
    try:
        handle = resonate.get(f"seed/{job_id}")
    except LookupError:
        return answer(404, {"error": f"There is no job {job_id}."})
    if not handle.done():
        return answer(200, {"status": "processing", "jobId": job_id})
    try:
        return answer(200, {"status": "done", "jobId": job_id, "result": handle.result()})
    except Exception as error:  # what the workflow raised
        return answer(200, {"status": "failed", "jobId": job_id, "error": str(error)})


def answer(code: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **(headers or {})}
    return {"statusCode": code, "headers": headers, "body": json.dumps(body)}
