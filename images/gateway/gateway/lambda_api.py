"""The Lambda Invoke API: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

Status codes, error types and bodies are AWS's, so that an AWS SDK raises the exceptions that it raises in
AWS.
"""

import json
import logging
import math
import re
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from shared.sigv4 import Request
from shared.trace import trace_id

from . import disconnects, pages
from .backlog import Backlog, DamagedError, Event
from .delivery import Delivery
from .environments import Environments, ThrottledError
from .invoker import Call, Invoker, LostError
from .settings import Settings
from .signatures import DeniedError, Signatures

log = logging.getLogger("gateway.lambda")
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#function-configuration-deployment-and-execution
SYNCHRONOUS_BYTES = 6 * 2**20
ASYNCHRONOUS_BYTES = 2**20
_ARN = re.compile(
    r"(?:arn:aws[\w-]*:lambda:[\w-]+:)?(?:\d{12}:)?(?:function:)?(?P<name>[\w-]+)(?::(?P<qualifier>[\w$-]+))?"
)


#: The types of a refused page's errors, by status.
_REFUSED = {400: "ValidationException", 403: "AccessDeniedException", 415: "UnsupportedMediaTypeException"}


class InvokeError(Exception):
    """What Invoke answers instead of a result: an HTTP status and one of AWS's error types."""

    def __init__(self, status: int, kind: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.more = more

    def response(self, request_id: str) -> web.Response:
        body: dict[str, Any] = {"Type": "User" if self.status < 500 else "Service"}
        # AWS spells this one member with a capital.
        key = "Message" if self.kind in ("ResourceNotFoundException", "ServiceException") else "message"
        headers = {"x-amzn-ErrorType": self.kind, "x-amzn-RequestId": request_id}
        if self.status == 429:
            headers["Retry-After"] = self.more.pop("retry_after")
        text = json.dumps(body | self.more | {key: self.message})
        return web.Response(status=self.status, text=text, headers=headers, content_type="application/json")


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


async def _body(request: web.Request, limit: int) -> bytes:
    """The request's body, of at most `limit` bytes. Raises :class:`InvokeError`."""
    size = request.content_length or 0
    try:
        payload = b"" if size > limit else await request.read()
    except web.HTTPRequestEntityTooLarge:
        size = limit + 1
    else:
        size = max(size, len(payload))
    if size > limit:
        # The API reference has RequestTooLargeException; what AWS answers is this one of its common errors
        # (https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html), measured in
        # https://zaccharles.medium.com/deep-dive-lambdas-request-payload-size-limit-2-2-6350c1ae5577.
        raise InvokeError(
            413,
            "RequestEntityTooLargeException",
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
        )
    return payload


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


class LambdaApi:
    """The door at :9000."""

    def __init__(
        self,
        settings: Settings,
        invoker: Invoker,
        environments: Environments,
        backlog: Backlog,
        delivery: Delivery,
        signatures: Signatures | None = None,
    ) -> None:
        """`signatures` checks requests; with None, everybody may call."""
        self._signatures = signatures
        self._settings = settings
        self._invoker = invoker
        self._environments = environments
        self._backlog = backlog
        self._delivery = delivery
        self._doors = replace(settings.doors, json_only=True)
        self._policy = pages.lambda_policy(settings.doors.origins)

    def application(self) -> web.Application:
        app = web.Application(
            client_max_size=SYNCHRONOUS_BYTES + 1, middlewares=[disconnects.log_disconnect, self._guard]
        )
        app.router.add_post("/2015-03-31/functions/{name}/invocations", self._invoke)
        app.router.add_get("/_local/health", self._health)
        app.router.add_get("/_local/dead-letters", self._dead_letters)
        app.router.add_route("*", r"/{tail:[\s\S]*}", self._unknown)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse requests from foreign pages and, if signatures are required, those without a valid one."""
        ask = pages.ask(request)
        if refusal := self._doors.refusal(ask):
            kind = _REFUSED[refusal.status]
            return InvokeError(refusal.status, kind, refusal.message).response(str(uuid.uuid4()))
        if self._policy and (preflight := self._policy.preflight(ask)):
            answer: web.StreamResponse = web.Response(status=preflight.status, headers=preflight.headers)
        else:
            refused = await self._unsigned(request)
            answer = await handler(request) if refused is None else refused
        if (origin := ask.header("origin")) is not None:
            answer.headers.extend(self._policy.apply(origin, []))
        return answer

    async def _unsigned(self, request: web.Request) -> web.Response | None:
        """The refusal of a request without a valid signature, else None. The container's health check needs none."""
        if self._signatures is None or request.match_info.handler == self._health:
            return None
        path, _, query = request.raw_path.partition("?")
        headers = [(name.decode().lower(), _text(value)) for name, value in request.raw_headers]
        try:
            signed = self._signatures.read(Request(request.method, path, query, headers))
            self._signatures.verify(signed, await _body(request, SYNCHRONOUS_BYTES))
        except DeniedError as error:
            log.info("%s %s: refused: %s", request.method, request.path, error.message)
            return InvokeError(403, error.kind, error.message).response(str(uuid.uuid4()))
        except InvokeError as error:
            return error.response(str(uuid.uuid4()))
        return None

    async def _invoke(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        try:
            return await self._invoked(request, request_id)
        except InvokeError as error:
            return error.response(request_id)
        except DamagedError as error:
            return InvokeError(500, "ServiceException", str(error)).response(request_id)

    async def _invoked(self, request: web.Request, request_id: str) -> web.Response:
        arn = self._function(unquote(request.match_info["name"]), request.query.get("Qualifier"))
        kind = request.headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        if kind not in ("RequestResponse", "Event", "DryRun"):
            raise InvokeError(
                400,
                "InvalidParameterValueException",
                f"1 validation error detected: Value '{kind}' at 'invocationType' failed to satisfy "
                "constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
            )
        call = Call(
            await self._payload(request, kind),
            arn,
            request_id,
            trace=request.headers.get("X-Amzn-Trace-Id") or trace_id(),
            client_context=request.headers.get("X-Amz-Client-Context"),
            tail=request.headers.get("X-Amz-Log-Type", "").lower() == "tail",
        )
        if kind == "DryRun":
            return web.Response(status=204, headers={"x-amzn-RequestId": request_id})
        if kind == "Event":
            try:
                await self._backlog.add(Event.of(call))
            except sqlite3.Error as error:
                log.error("event %s cannot be kept, and is refused: %s", request_id, error)
                raise InvokeError(
                    500, "ServiceException", f"The event cannot be kept, and is refused: {error}."
                ) from None
            self._delivery.wake()
            return web.Response(status=202, headers={"x-amzn-RequestId": request_id})
        return await self._synchronous(call)

    async def _synchronous(self, call: Call) -> web.Response:
        try:
            result = await self._invoker.invoke(call)
        except ThrottledError:
            raise InvokeError(
                429,
                "TooManyRequestsException",
                "Rate Exceeded.",
                Reason="ReservedFunctionConcurrentInvocationLimitExceeded",
                retry_after=str(max(1, math.ceil(self._settings.burst))),
            ) from None
        except LostError as error:
            raise InvokeError(500, "ServiceException", str(error)) from None
        headers = {
            "x-amzn-RequestId": call.request_id,
            "X-Amzn-Trace-Id": call.trace,
            "X-Amz-Executed-Version": "$LATEST",
        }
        if result.error:
            headers["X-Amz-Function-Error"] = result.error
        if call.tail and result.log is not None:
            headers["X-Amz-Log-Result"] = result.log
        return web.Response(body=result.payload, headers=headers, content_type="application/json")

    def _function(self, name: str, qualifier: str | None) -> str:
        """The ARN that the function sees. `name` is a name, a partial or a whole ARN, each with or without
        version.
        """
        found = _ARN.fullmatch(name)
        if found and found["name"] in self._settings.names:
            version = qualifier or found["qualifier"] or "$LATEST"
            if version == "$LATEST":
                bare = self._settings.arn(self._settings.function)
                return f"{bare}:$LATEST" if qualifier or found["qualifier"] else bare
        arn = self._settings.arn(found["name"] if found else name)
        if qualifier or (found and found["qualifier"]):
            arn += f":{qualifier or (found and found['qualifier'])}"
        raise InvokeError(404, "ResourceNotFoundException", f"Function not found: {arn}")

    async def _payload(self, request: web.Request, kind: str) -> bytes:
        payload = await _body(request, ASYNCHRONOUS_BYTES if kind == "Event" else SYNCHRONOUS_BYTES)
        if not payload:
            return b"{}"
        try:
            json.loads(payload, parse_constant=_reject_constant)
        except (ValueError, RecursionError) as error:
            raise InvokeError(
                400, "InvalidRequestContentException", f"Could not parse request body into json: {error}"
            ) from None
        return payload

    async def _health(self, _: web.Request) -> web.Response:
        try:
            events = await self._backlog.count()
        except DamagedError as error:
            return web.json_response({"error": str(error)}, status=503)
        return web.json_response(
            {
                "environments": len(self._environments),
                "busy": self._environments.busy,
                "waiting": self._environments.waiting,
                "events": events,
            }
        )

    async def _dead_letters(self, _: web.Request) -> web.Response:
        try:
            return web.json_response({"deadLetters": await self._backlog.dead_letters()})
        except DamagedError as error:
            return web.json_response({"error": str(error)}, status=503)

    async def _unknown(self, request: web.Request) -> web.Response:
        message = f"{request.method} {request.path} is not a call of this Lambda API, which has only Invoke"
        error = InvokeError(404, "UnknownOperationException", message)
        return error.response(str(uuid.uuid4()))
