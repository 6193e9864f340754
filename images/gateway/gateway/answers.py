"""The HTTP response that a function's result becomes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html#http-api-develop-integrations-lambda.response
"""

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

#: Headers that only the gateway itself may set.
_OURS = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding", "upgrade"}
)


class MalformedError(ValueError):
    """The result is not a valid response. The client gets 500; the gateway's log says why."""


@dataclass
class Answer:
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def read(version: str, payload: bytes) -> Answer:
    """Raises MalformedError."""
    try:
        result = json.loads(payload)
    except ValueError as error:
        raise MalformedError(f"the function's result is not JSON: {error}") from error
    if version == "1.0":
        if not isinstance(result, dict) or "statusCode" not in result:
            raise MalformedError("the function's result has no statusCode, which format 1.0 demands")
        return _structured(result, multiple=True)
    if isinstance(result, dict) and "statusCode" in result:
        return _structured(result, multiple=False)
    # Inferred: any valid JSON without a status is the body of a 200.
    body = (
        result if isinstance(result, str) else json.dumps(result, separators=(",", ":"), ensure_ascii=False)
    )
    return Answer(200, [("content-type", "application/json")], body.encode())


def _structured(result: dict[str, Any], *, multiple: bool) -> Answer:
    answer = Answer(_status(result["statusCode"]))
    for name, value in _mapping(result, "headers").items():
        answer.headers.append((str(name).lower(), _text(f"headers.{name}", value)))
    if multiple:
        _add_multiple(answer, _mapping(result, "multiValueHeaders"))
    else:
        cookies = result.get("cookies") or []
        if not isinstance(cookies, list):
            raise MalformedError("cookies: expected a list")
        answer.headers += [("set-cookie", _text("cookies", cookie)) for cookie in cookies]
    answer.headers = [(name, value) for name, value in answer.headers if name not in _OURS]
    if not any(name == "content-type" for name, _ in answer.headers):
        answer.headers.append(("content-type", "text/plain;charset=UTF-8"))
    answer.body = _body(result)
    return answer


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise MalformedError(f"statusCode is {value!r}, expected a number from 200 to 599")
    return value


def _mapping(result: dict[str, Any], name: str) -> dict[str, Any]:
    value = result.get(name) or {}
    if not isinstance(value, dict):
        raise MalformedError(f"{name}: expected an object")
    return value


def _text(where: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise MalformedError(f"{where}: expected a string")
    text = str(value)
    if "\r" in text or "\n" in text or "\0" in text:
        raise MalformedError(f"{where}: a header must not contain a line break or NUL")
    return text


def _add_multiple(answer: Answer, headers: dict[str, Any]) -> None:
    """In format 1.0 the values of both mappings are merged; the same value is not repeated."""
    for name, values in headers.items():
        if not isinstance(values, list):
            raise MalformedError(f"multiValueHeaders.{name}: expected a list")
        for value in values:
            header = (str(name).lower(), _text(f"multiValueHeaders.{name}", value))
            if header not in answer.headers:
                answer.headers.append(header)


def _body(result: dict[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedError(f"body is {type(body).__name__}, expected a string (use json.dumps)")
    if not result.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"body is not base64, though isBase64Encoded is true: {error}") from error
