"""The Lambda Runtime API as the function's process sees it, on loopback.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; it is served by RIE behind it. A function ends its
invocation by asking for the next one: then it is frozen.
"""

import json
from typing import Protocol

from shared.wire import Request, Server, compose

from .rie import RieError

HOST, PORT = "127.0.0.1", 9001
ADDRESS = f"{HOST}:{PORT}"
#: The most that a synchronous response may have: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
RESPONSE_BYTES = 6_291_556
_VERSION = "/2018-06-01/runtime"


class Handlers(Protocol):
    """What the environment does with the calls."""

    async def next(self) -> tuple[dict[str, str], bytes]:
        """Returns the next invocation's headers and event."""

    async def response(self, request_id: str, body: bytes) -> bool:
        """Takes the handler's result; False if no such invocation runs."""

    async def error(self, request_id: str, body: bytes, error_type: str) -> bool:
        """Takes the handler's exception; False if no such invocation runs."""

    async def init_error(self, body: bytes, error_type: str) -> None:
        """Takes the reason why the function cannot be initialised."""

    def too_large(self, request_id: str) -> None:
        """Notes that the response was refused for its size."""


def _json(line: str, /, **body: str) -> bytes:
    return compose(f"HTTP/1.1 {line}", {"Content-Type": "application/json"}, json.dumps(body).encode())


_ACCEPTED = _json("202 Accepted", status="OK")


def _unknown(request_id: str) -> bytes:
    return _json(
        "400 Bad Request", errorMessage=f"Invalid request ID: {request_id}", errorType="InvalidRequestID"
    )


class RuntimeApi:
    """Serves the Runtime API with `handlers`."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    async def start(self) -> Server:
        """Raises OSError."""
        server = Server(self._answer, RESPONSE_BYTES)
        await server.start(HOST, PORT)
        return server

    async def _answer(self, request: Request) -> bytes:
        method, path = request.method, request.target.removeprefix(f"{_VERSION}/")
        error_type = request.headers.get("lambda-runtime-function-error-type", "")
        try:
            match method, path.split("/"):
                case "GET", ["invocation", "next"]:
                    headers, event = await self._handlers.next()
                    return compose("HTTP/1.1 200 OK", {"Content-Type": "application/json", **headers}, event)
                case "POST", ["invocation", request_id, _] if request.refused:
                    return self._refuse(request_id)
                case "POST", ["invocation", request_id, "response"]:
                    known = await self._handlers.response(request_id, request.body)
                    return _ACCEPTED if known else _unknown(request_id)
                case "POST", ["invocation", request_id, "error"]:
                    known = await self._handlers.error(request_id, request.body, error_type)
                    return _ACCEPTED if known else _unknown(request_id)
                case "POST", ["init", "error"]:
                    await self._handlers.init_error(request.body, error_type or "Runtime.Unknown")
                    return _ACCEPTED
        except RieError as error:
            return _json("500 Internal Server Error", errorMessage=str(error), errorType="RuntimeError")
        return _json("404 Not Found", errorMessage=f"{method} {path}: no such call", errorType="NotFound")

    def _refuse(self, request_id: str) -> bytes:
        self._handlers.too_large(request_id)
        return _json(
            "413 Request Entity Too Large",
            errorMessage=f"Exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes).",
            errorType="RequestEntityTooLarge",
        )
