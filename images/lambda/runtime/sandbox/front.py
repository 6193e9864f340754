"""The environment's front: the Invoke call, one at a time, and its health.

POST /2015-03-31/functions/{name}/invocations    synchronous; X-Amz-Log-Type: Tail gives the log's tail
GET /health                                      200 with the environment's state, for the container's health check
"""

import base64
import json
import logging
import re

from shared.doors import Ask, Doors
from shared.trace import trace_id
from shared.wire import Request, Server, compose

from .environment import BusyError, Environment
from .invocation import Invocation
from .rie import RieError

log = logging.getLogger("sandbox")
#: An event may have 6 MB, which the gateway checks. This only limits the memory that a faulty caller can make us use.
_EVENT_BYTES = 8 * 2**20
#: Tells the gateway that the request was not started, so another environment may get it.
REFUSED = "X-Sandbox-Refused"
_INVOKE = re.compile(r"/2015-03-31/functions/[^/]+/invocations")
#: For the gateway and the health check. A web page could find this port too, at the container's address.
_DOORS = Doors.read({}, json_only=True)
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
}


def _answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    start = f"HTTP/1.1 {status} {_REASONS.get(status, 'Internal Server Error')}"
    return compose(start, {"Content-Type": "application/json", **(headers or {})}, body)


def _failure(status: int, kind: str, message: str, **headers: str) -> bytes:
    body = json.dumps({"Type": "User" if status < 500 else "Service", "message": message})
    return _answer(status, body.encode(), {"x-amzn-ErrorType": kind, **headers})


class Front:
    """Serves `environment` over HTTP."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    async def start(self, host: str, port: int) -> Server:
        """Raises OSError."""
        server = Server(self._handle, _EVENT_BYTES)
        await server.start(host, port)
        return server

    async def _handle(self, request: Request) -> bytes:
        method, path = request.method, request.target.partition("?")[0]
        ask = Ask(method, request.target, request.headers.get, request.version != "1.0")
        if refusal := _DOORS.refusal(ask):
            return _failure(refusal.status, "AccessDeniedException", refusal.message)
        if method == "GET" and path == "/health":
            return _answer(200, json.dumps(self._health()).encode())
        if method == "POST" and _INVOKE.fullmatch(path):
            return await self._invoke(request)
        return _failure(404, "UnknownOperationException", f"{method} {path} is no call of an environment")

    async def _invoke(self, request: Request) -> bytes:
        if request.refused:
            message = f"{request.refused} byte payload is too large (limit {_EVENT_BYTES} bytes)"
            return _failure(413, "RequestTooLargeException", message)
        headers = request.headers
        invocation = Invocation(
            request.body or b"{}",
            headers.get("x-sandbox-function-arn", self._environment.settings.arn),
            trace=headers.get("x-amzn-trace-id") or trace_id(),
            client_context=headers.get("x-amz-client-context"),
        )
        if request_id := headers.get("x-sandbox-request-id"):
            invocation.request_id = request_id
        try:
            outcome = await self._environment.invoke(invocation)
        except BusyError:
            return _failure(429, "TooManyRequestsException", "Rate Exceeded.", **{REFUSED: "busy"})
        except RieError as error:
            log.error("invocation %s was not served: %s", invocation.request_id, error)
            return _failure(500, "ServiceException", f"The execution environment failed: {error}")
        answer = {"X-Amzn-RequestId": outcome.request_id, "X-Amz-Executed-Version": "$LATEST"}
        if outcome.error:
            answer["X-Amz-Function-Error"] = outcome.error
        if headers.get("x-amz-log-type", "").lower() == "tail":
            answer["X-Amz-Log-Result"] = base64.b64encode(outcome.log).decode()
        return _answer(200, outcome.payload, answer)

    def _health(self) -> dict[str, object]:
        settings = self._environment.settings
        return {
            "state": self._environment.state,
            "served": self._environment.served,
            "coldStarts": self._environment.cold_starts,
            "function": settings.name,
            "handler": settings.handler,
            "logStream": settings.log_stream,
        }
