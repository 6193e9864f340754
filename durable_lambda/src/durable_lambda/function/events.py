"""API Gateway's events, payload 2.0 and 1.0: what a hand-written one leaves out is filled in.

A function reads few fields of an event. An event that was written by hand, or sent by `aws lambda invoke`, is answered as
long as these fields are there or can be filled in; any other event is refused with an explanation.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

from durable_lambda.application import Submit, application
from durable_lambda.function.bodies import InvalidError

#: How long an invocation by hand may take, in seconds.
_BY_HAND_SECONDS = 30.0
_CONTEXT_FIELDS = ("function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id")


def complete(event: Any, submit: Submit | None) -> dict[str, Any]:
    """The event with all those fields of an API Gateway event that the code reads.

    An event without a path is a call of `submit`. Without a method it is POST if it has a body, else GET. A body that is
    not text is taken as JSON. Raises :class:`InvalidError`, with the code `not_an_api_event`.
    """
    if not isinstance(event, dict):
        raise _refused(f"The event is {_kind(event)}, not a JSON object.", submit)
    context = _object(event, "requestContext", submit)
    http = _object(context, "http", submit, "requestContext.http")
    two = is_http_api(event) or (event.get("version") != "1.0" and ("rawPath" in event or bool(http)))
    body = event.get("body")
    if two:
        method = _word(http, "method", submit, "requestContext.http.method")
        path = _word(event, "rawPath", submit) or _word(http, "path", submit, "requestContext.http.path")
    else:
        method, path = _word(event, "httpMethod", submit), _word(event, "path", submit)
    if path is None:
        if submit is None or (method or submit.method).upper() != submit.method:
            raise _refused("The event has no path.", submit)
        if method is None and body is None:
            raise _refused("The event has neither a path nor a body.", submit)
        method, path = submit.method, submit.path
    elif method is None:
        method = "GET" if body is None else "POST"
    is_text = body is None or isinstance(body, str)
    stage = context.get("stage")
    whole = {
        **event,
        "headers": _texts(event, "headers", submit),
        "queryStringParameters": _texts(event, "queryStringParameters", submit),
        "body": body if is_text else json.dumps(body),
        "isBase64Encoded": is_text and event.get("isBase64Encoded") is True,
        # A stage other than the default counts only if the path begins with it.
        "requestContext": {
            **context,
            "stage": stage if isinstance(stage, str) and path.startswith(f"/{stage}/") else "$default",
        },
    }
    for name in ("multiValueHeaders", "multiValueQueryStringParameters"):
        _check_lists(event, name, submit)
    if not two:
        return {**whole, "httpMethod": method, "path": path}
    whole["requestContext"]["http"] = {**http, "method": method, "path": path}
    return {**whole, "version": "2.0", "rawPath": path}


def is_http_api(event: Mapping[str, Any]) -> bool:
    """Whether the event says that it is payload 2.0. Payload 1.0 of REST APIs has no version."""
    return event.get("version") == "2.0"


class Context:
    """Lambda's context, for an invocation without one."""

    def __init__(self) -> None:
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or application().name
        self.memory_limit_in_mb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or 512)
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return int(_BY_HAND_SECONDS * 1000)


def context_of(given: Any) -> Any:
    """The invocation's context, or one of our own if the given value is not a context."""
    return given if all(hasattr(given, name) for name in _CONTEXT_FIELDS) else Context()


def remaining_seconds(context: Any) -> float:
    """How much time is left of the invocation."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return remaining() / 1000 if callable(remaining) else _BY_HAND_SECONDS


def synthetic(arguments: list[str]) -> tuple[dict[str, Any], Context]:
    """An event that sends the example in `[tool.durable-lambda.submit]`, and a context: for a first try from a shell.

    The first argument is the new job's id; by default it is a random one.
    """
    submit = application().submit
    if submit is None:
        raise SystemExit("pyproject.toml has no [tool.durable-lambda.submit]: there is no example to send.")
    new = arguments[0] if arguments else f"job-{uuid.uuid4().hex[:8]}"
    body = {
        name: value.replace("{id}", new) if isinstance(value, str) else value
        for name, value in submit.body.items()
    }
    event = {"httpMethod": submit.method, "path": submit.path, "body": json.dumps(body)}
    return complete(event, submit), Context()


def _refused(problem: str, submit: Submit | None) -> InvalidError:
    help_ = 'Send an event of API Gateway, such as {"httpMethod": "GET", "path": "/…"}'
    if submit is not None:
        help_ += f', or {{"body": "…"}} for {submit.method} {submit.path}'
    return InvalidError(f"{problem} {help_}.", code="not_an_api_event")


def _object(value: Mapping[str, Any], name: str, submit: Submit | None, called: str = "") -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _refused(f"{called or name} is {_kind(found)}, not an object.", submit)
    return found


def _word(value: Mapping[str, Any], name: str, submit: Submit | None, called: str = "") -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise _refused(f"{called or name} is {_kind(found)}, not text.", submit)
    return found


def _texts(event: Mapping[str, Any], name: str, submit: Submit | None) -> dict[str, str]:
    """Headers or query parameters: texts, or numbers and truth values that are written as texts."""
    texts = {}
    for key, value in _object(event, name, submit).items():
        if isinstance(value, dict | list):
            raise _refused(f"{name}.{key} is {_kind(value)}, not text.", submit)
        if value is not None:
            texts[key] = value if isinstance(value, str) else json.dumps(value)
    return texts


def _check_lists(event: Mapping[str, Any], name: str, submit: Submit | None) -> None:
    for key, value in _object(event, name, submit).items():
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise _refused(f"{name}.{key} is not a list of texts.", submit)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "an object"
    return "a number"
