"""The Lambda Runtime API as the function's process sees it, on loopback.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; RIE's is behind it. Asking for the next
invocation is what ends one: there the function is frozen.
"""

from typing import Protocol

from aiohttp import web

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


def _accepted() -> web.Response:
    return web.json_response({"status": "OK"}, status=202)


def _refused(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"errorMessage": message, "errorType": kind}, status=status)


def application(handlers: Handlers) -> web.Application:
    """The Runtime API over `handlers`."""

    async def next_invocation(_: web.Request) -> web.Response:
        headers, event = await handlers.next()
        return web.Response(body=event, headers=headers, content_type="application/json")

    async def response(request: web.Request) -> web.Response:
        request_id = request.match_info["id"]
        if (request.content_length or 0) > RESPONSE_BYTES:
            return await refuse(request, request_id)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return await refuse(request, request_id)
        known = await handlers.response(request_id, body)
        return (
            _accepted() if known else _refused(400, "InvalidRequestID", f"Invalid request ID: {request_id}")
        )

    async def refuse(request: web.Request, request_id: str) -> web.Response:
        # Read on, so that the runtime sees the answer and not a broken connection.
        async for _ in request.content.iter_chunked(1 << 16):
            pass
        handlers.too_large(request_id)
        return _refused(
            413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."
        )

    async def error(request: web.Request) -> web.Response:
        request_id = request.match_info["id"]
        kind = request.headers.get("Lambda-Runtime-Function-Error-Type", "")
        known = await handlers.error(request_id, await request.read(), kind)
        return (
            _accepted() if known else _refused(400, "InvalidRequestID", f"Invalid request ID: {request_id}")
        )

    async def init_error(request: web.Request) -> web.Response:
        kind = request.headers.get("Lambda-Runtime-Function-Error-Type", "Runtime.Unknown")
        await handlers.init_error(await request.read(), kind)
        return _accepted()

    app = web.Application(client_max_size=RESPONSE_BYTES + 1)
    app.router.add_get(f"{_VERSION}/invocation/next", next_invocation)
    app.router.add_post(f"{_VERSION}/invocation/{{id}}/response", response)
    app.router.add_post(f"{_VERSION}/invocation/{{id}}/error", error)
    app.router.add_post(f"{_VERSION}/init/error", init_error)
    return app
