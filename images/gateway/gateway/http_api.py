"""The door at :8080: an API Gateway HTTP API in front of the one function.

Limits: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""

import asyncio
import json
import logging
import math
import string
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from shared.trace import trace_id

from . import answers, disconnects, events, pages
from .authorizer import Authorizer, Jwt, RefusedError
from .environments import ThrottledError
from .invoker import Call, Invoker, LostError, Result
from .routes import Route, Routes
from .settings import Settings

log = logging.getLogger("gateway.http")
PAYLOAD_BYTES = 10 * 2**20
#: The request line and all headers together.
HEADER_BYTES = 10240
#: Lambda's own limit. It applies first, because an event is larger than the body in it.
_EVENT_BYTES = 6 * 2**20
#: A client that takes longer than this to send its body is disconnected; it uses no environment meanwhile.
_BODY_SECONDS = 30.0
_ASCII = string.punctuation


class HttpError(Exception):
    """An answer of API Gateway's own: a status and {"message": …}."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.answer = answers.Answer(
            status,
            [("content-type", "application/json"), *(headers or {}).items()],
            json.dumps({"message": message}, separators=(",", ":")).encode(),
        )


def _target(raw: str) -> str:
    """The request's target in origin form and in ASCII, whatever the client sent."""
    if not raw.startswith("/"):
        parts = urlsplit(raw)
        raw = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return raw if raw.isascii() else quote(raw.encode("utf-8", "surrogateescape"), safe=_ASCII)


class HttpApi:
    """Turns requests into events, and results into responses."""

    def __init__(self, settings: Settings, routes: Routes, invoker: Invoker) -> None:
        self._settings = settings
        self._routes = routes
        self._invoker = invoker
        self._doors = replace(settings.doors, own_pages=True, links=True)
        self._policy = pages.http_policy(routes.cors, settings.doors.origins)
        self._authorizer = Authorizer(settings.issuers())
        self._api = events.Api(settings.account, settings.api_id, settings.stage)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=PAYLOAD_BYTES, middlewares=[disconnects.log_disconnect])
        app.router.add_route("*", r"/{tail:[\s\S]*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw_path, _, raw_query = _target(request.raw_path).partition("?")
        received = events.Request(
            method=request.method,
            raw_path=raw_path,
            raw_query=raw_query,
            headers=[(key.decode(), value.decode(errors="replace")) for key, value in request.raw_headers],
            body=b"",
            source_ip=request.remote or "127.0.0.1",
            trace=request.headers.get("X-Amzn-Trace-Id") or trace_id(),
            protocol=f"HTTP/{request.version.major}.{request.version.minor}",
        )
        try:
            answer = await self._answer(request, received)
        except HttpError as error:
            answer = error.answer
        if self._policy:
            answer.headers = self._policy.apply(received.header("origin"), answer.headers)
        response = web.Response(status=answer.status, body=answer.body)
        response.headers.popall("Content-Type", None)
        for name, value in answer.headers:
            response.headers.add(name, value)
        response.headers["Server"] = "gateway"
        response.headers["apigw-requestid"] = received.request_id
        return response

    async def _answer(self, request: web.Request, received: events.Request) -> answers.Answer:
        ask = pages.ask(request)
        if refusal := self._doors.refusal(ask, self._policy.allows):
            raise HttpError(refusal.status, refusal.message)
        if self._policy and (preflight := self._policy.preflight(ask)):
            return preflight
        head = (
            len(received.method)
            + len(request.raw_path)
            + sum(len(key) + len(value) for key, value in received.headers)
        )
        if head > HEADER_BYTES:
            raise HttpError(431, "Request Header Fields Too Large")
        route, parameters = self._route(received)
        if route.authorizer:
            received.authorizer = await self._authorize(route.authorizer, received)
        received.body = await self._body(request)
        version = self._settings.event_version or route.event_version
        event = json.dumps(events.build(version, received, route, parameters, self._api)).encode()
        if len(event) > _EVENT_BYTES:
            raise HttpError(413, "Request Entity Too Large")
        result = await self._invoke(
            Call(event, self._settings.arn(self._settings.function), trace=received.trace)
        )
        if result.error:
            log.info(
                "%s %s: the function failed: %s",
                received.method,
                received.raw_path,
                result.payload[:500].decode(),
            )
            raise HttpError(500, "Internal Server Error")
        try:
            return answers.read(version, result.payload)
        except answers.MalformedError as error:
            log.warning("%s %s: %s", received.method, received.raw_path, error)
            raise HttpError(500, "Internal Server Error") from None

    def _route(self, received: events.Request) -> tuple[Route, dict[str, str]]:
        path = received.raw_path
        if self._settings.stage != "$default":
            prefix = f"/{self._settings.stage}"
            if path != prefix and not path.startswith(f"{prefix}/"):
                raise HttpError(404, "Not Found")
            path = path.removeprefix(prefix) or "/"
        found = self._routes.match(received.method, path)
        if found is None:
            raise HttpError(404, "Not Found")
        return found

    async def _authorize(self, wanted: Jwt, received: events.Request) -> dict[str, Any]:
        kind, _, name = wanted.identity_source.removeprefix("$request.").partition(".")
        found = received.header(name.lower()) if kind == "header" else (received.query().get(name) or [""])[0]
        try:
            return await self._authorizer.check(wanted, found)
        except RefusedError as error:
            raise HttpError(
                error.status,
                error.message,
                {"www-authenticate": error.challenge} if error.challenge else None,
            ) from None

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > PAYLOAD_BYTES:
            raise HttpError(413, "Request Entity Too Large")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise HttpError(413, "Request Entity Too Large") from None
        except TimeoutError:
            raise HttpError(408, "Request Timeout", {"connection": "close"}) from None

    async def _invoke(self, call: Call) -> Result:
        try:
            async with asyncio.timeout(self._settings.integration):
                return await self._invoker.invoke(call)
        except ThrottledError:
            retry = str(max(1, math.ceil(self._settings.burst)))
            raise HttpError(429, "Too Many Requests", {"retry-after": retry}) from None
        except TimeoutError:
            # The function goes on, and its environment is busy until it ends.
            raise HttpError(503, "Service Unavailable") from None
        except LostError as error:
            log.warning("request %s: %s", call.request_id, error)
            raise HttpError(500, "Internal Server Error") from None
