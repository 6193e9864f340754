"""Sends an application's example call to the HTTP API and follows its job. Runs inside the gateway (bin/submit).

Usage: submit.py [--try]     with --try it prints the calls as curl commands

The call is `[tool.durable-lambda.submit]` of the application (DECLARED, its application.json), else the first POST in
its openapi.yaml that has an example. B holds fields that replace those of the body.
"""

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

LOCAL = "http://127.0.0.1:8080"
PATIENCE_SECONDS = 120
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {os.environ.get('TOKEN', '')}"}


def declared() -> dict[str, Any] | None:
    """The call to send; None if the application declares none."""
    submit: dict[str, Any] | None = json.loads(os.environ["DECLARED"])["submit"]
    return submit or example(
        yaml.safe_load(Path(os.environ.get("API_OPENAPI") or "/app/openapi.yaml").read_text())
    )


def example(document: dict[str, Any]) -> dict[str, Any] | None:
    for path, operations in document["paths"].items():
        content = (
            operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        )
        if "example" in content:
            return {"call": f"POST {path}", "body": content["example"]}
    return None


def with_id(value: Any, job_id: str) -> Any:
    """The value with every `{id}` in it replaced by the id."""
    if isinstance(value, str):
        return value.replace("{id}", job_id)
    if isinstance(value, dict):
        return {key: with_id(inner, job_id) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_id(inner, job_id) for inner in value]
    return value


def calls(submit: dict[str, Any], job_id: str, fields: dict[str, Any]) -> tuple[str, str, Any, str | None]:
    """Method, path and body of the call, and the path that is asked for the job's state."""
    template = submit.get("body")
    # If the caller gives an id of their own, it is the job's.
    for key, value in (template or {}).items():
        if value == "{id}" and isinstance(fields.get(key), str):
            job_id = fields[key]
    method, _, path = submit["call"].partition(" ")
    body = None if template is None and not fields else with_id(template or {}, job_id) | fields
    status = submit.get("status")
    return method, with_id(path, job_id), body, status and with_id(status.partition(" ")[2], job_id)


def call(method: str, path: str, body: object = None) -> tuple[int, Any]:
    request = urllib.request.Request(LOCAL + path, method=method, headers=HEADERS)
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=35) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode(errors="replace")


def follow(path: str, over: list[str]) -> int:
    """Ask for the job's state until it is over. Prints each step as it happens, if the answer lists steps."""
    seen: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        _, answer = call("GET", path)
        if isinstance(answer, dict):
            for step in answer.get("steps") or ():
                if isinstance(step, dict) and seen.get(step.get("name", "")) != step.get("state"):
                    seen[step["name"]] = step["state"]
                    print(f"    {step['name']:20} {step['state']}", flush=True)
            if answer.get("status") in over:
                print(json.dumps(answer, indent=2))
                # The first state of `over` means success.
                return 0 if answer["status"] == over[0] else 1
        time.sleep(0.2)
    print(f"The job is not over after {PATIENCE_SECONDS} s; go on watching it: GET {path}", file=sys.stderr)
    return 1


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def commands(submit: dict[str, Any] | None) -> None:
    """The same calls for a person's shell."""
    api = os.environ["API"]
    token = """ -H "authorization: Bearer $(make -s token)\"""" if os.environ.get("AUTH") == "on" else ""
    if submit is None:
        print(f"  curl -s {api}/{token}")
        return
    method, path, body, status = calls(submit, "job-001", {})
    verb = "" if method == ("GET" if body is None else "POST") else f" -X {method}"
    print(f"  curl -s{verb} {api}{path}", end="")
    if body is not None:
        print(f" -H 'content-type: application/json'{token} \\")
        print(f"    -d {quoted(json.dumps(body, separators=(',', ':')))}")
    else:
        print(token)
    if status:
        print(f"  curl -s {api}{status}{token}")


def main() -> int:
    submit = declared()
    if "--try" in sys.argv:
        commands(submit)
        return 0
    if submit is None:
        print(
            "The application declares no example call: neither [tool.durable-lambda.submit] in its pyproject.toml nor an "
            "example of a POST in its openapi.yaml.",
            file=sys.stderr,
        )
        return 1
    try:
        fields = json.loads(os.environ.get("B") or "{}")
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        print('B is not a JSON object; expected something like B=\'{"type":"invoice"}\'.', file=sys.stderr)
        return 2
    method, path, body, status = calls(submit, f"submit-{secrets.token_hex(4)}", fields)
    code, answer = call(method, path, body)
    print(f"{method} {path} -> {code} {json.dumps(answer)}", flush=True)
    if code >= 300 or status is None:
        return 0 if code < 300 else 1
    return follow(status, submit.get("over", []))


sys.exit(main())
