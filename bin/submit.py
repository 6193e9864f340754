"""Sends a document to the HTTP API and prints each step as it happens. Usage: submit.py URL TYPE"""

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request

API = "http://127.0.0.1:8080"
PATIENCE_SECONDS = 120
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {os.environ.get('TOKEN', '')}"}
OVER = {"done", "failed", "cancelled"}


def call(method: str, path: str, body: object = None) -> tuple[int, dict]:
    request = urllib.request.Request(API + path, method=method, headers=HEADERS)
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=35) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, {"error": text}


def main() -> int:
    job = {
        "jobId": f"submit-{secrets.token_hex(4)}",
        "documentUrl": sys.argv[1],
        "requesterId": "make-submit",
        "type": sys.argv[2],
    }
    status, answer = call("POST", "/process-document", job)
    print(f"POST /process-document -> {status} {json.dumps(answer)}", flush=True)
    if status != 202:
        return 1
    seen: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status, answer = call("GET", f"/status/{job['jobId']}")
        for step in answer.get("steps", []):
            if seen.get(step["name"]) != step["state"]:
                seen[step["name"]] = step["state"]
                print(f"    {step['name']:20} {step['state']}", flush=True)
        if answer.get("status") in OVER:
            print(json.dumps(answer, indent=2))
            return 0 if answer["status"] == "done" else 1
        time.sleep(0.2)
    print(
        f"The job {job['jobId']} is not over after {PATIENCE_SECONDS} s; go on watching: GET /status/{job['jobId']}",
        file=sys.stderr,
    )
    return 1


sys.exit(main())
