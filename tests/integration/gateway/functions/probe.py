"""A function that does what it is told, to show what its environment does about it."""

# ruff: noqa: S108, T201 - the environment's own /tmp, and its log

import base64
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]

BORN = time.time()
calls = 0
ticks = 0


def _tick() -> None:
    global ticks
    while True:
        ticks += 1
        time.sleep(0.01)


def _start_ticking(_: Event) -> object:
    threading.Thread(target=_tick, daemon=True).start()
    return {"ticks": ticks}


def _start_child(_: Event) -> object:
    """A process in a session of its own, out of the function's process group."""
    script = (
        "import time\nn = 0\nwhile True:\n n += 1; open('/tmp/child','w').write(str(n)); time.sleep(0.01)"
    )
    subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    return {}


def _grow(event: Event) -> object:
    block = b"x" * (event["megabytes"] * 2**20)
    time.sleep(0.3)
    return len(block)


def _write(event: Event) -> object:
    try:
        Path(event["path"]).write_bytes(b"x" * event.get("bytes", 1))
    except OSError as error:
        return {"error": error.strerror}
    return {"error": None}


def _context(context: Any) -> object:
    return {
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "requestId": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "logGroup": context.log_group_name,
        "logStream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "client": getattr(context.client_context, "custom", None),
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }


def _leave(event: Event) -> object:
    sys.stdout.flush()
    os._exit(event["status"])


def _append(event: Event) -> object:
    """Leaves a mark that outlives the invocation, on the environment's /tmp."""
    with Path("/tmp/marks").open("a") as file:
        file.write(event["mark"] + "\n")
    if event.get("fail"):
        raise ValueError(event["mark"])
    return None


def _raise(event: Event) -> object:
    raise ValueError(event["message"])


ACTIONS: dict[str, Callable[[Event], object]] = {
    "echo": lambda event: event,
    "sleep": lambda event: time.sleep(event["seconds"]),
    "raise": _raise,
    "leave": _leave,
    "grow": _grow,
    "large": lambda event: "x" * event["bytes"],
    "print": lambda event: print(event["text"]),
    "state": lambda _: {"calls": calls, "ticks": ticks, "born": BORN, "uid": os.getuid()},
    "tick": _start_ticking,
    "child": _start_child,
    "write": _write,
    "read": lambda event: Path(event["path"]).read_text() if Path(event["path"]).exists() else None,
    "append": _append,
    "environ": lambda _: dict(os.environ),
    "path": lambda _: sys.path,
    "import": lambda event: importlib.import_module(event["module"]).ANSWER,
}


def _parsed(event: Event) -> object:
    """The event as AWS Lambda Powertools reads it, from the function's own dependencies."""
    from aws_lambda_powertools.utilities.data_classes import (  # type: ignore[import-not-found,unused-ignore]
        APIGatewayProxyEvent,
        APIGatewayProxyEventV2,
    )

    kind = APIGatewayProxyEventV2 if event["version"] == "2.0" else APIGatewayProxyEvent
    parsed: Any = kind(event)
    context = parsed.request_context
    return {
        "method": parsed.http_method,
        "path": parsed.path,
        "query": parsed.query_string_parameters,
        "many": parsed.resolved_query_string_parameters,
        "header": parsed.headers["X-Mine"],
        "parameters": parsed.path_parameters,
        "body": parsed.json_body,
        "base64": parsed.is_base64_encoded,
        "stage": context.stage,
        "account": context.account_id,
        "requestId": context.request_id,
        "source": (context.http if event["version"] == "2.0" else context.identity).source_ip,
    }


def handler(event: Any, context: Any) -> object:
    global calls
    calls += 1
    if isinstance(event, dict) and "requestContext" in event:
        return _over_http(event)
    if not isinstance(event, dict) or "do" not in event:
        return event
    if event["do"] == "context":
        return _context(context)
    return ACTIONS[event["do"]](event)


def _over_http(event: Event) -> object:
    """`{"answer": …}` is answered literally; otherwise the event itself is the body."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode("latin-1")
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if isinstance(told, dict) and "answer" in told:
        return told["answer"]
    if told == {"do": "parse"}:
        return {"statusCode": 200, "body": json.dumps(_parsed(event))}
    if isinstance(told, dict) and "do" in told:
        return ACTIONS[told["do"]](told)
    headers = {"content-type": "application/json"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(event)}
