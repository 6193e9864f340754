"""The environment's front: the Invoke call, one at a time, and its health.

POST /2015-03-31/functions/{name}/invocations    synchronous; X-Amz-Log-Type: Tail gives the log's tail GET
/health                                     200 with the environment's state, for the container's health
check
"""

import asyncio
import base64
import json
import logging

from aiohttp import web

from .environment import BusyError, Environment
from .invocation import Invocation, trace_id
from .rie import RieError

log = logging.getLogger("sandbox")
#: An event may have 6 MB; the gateway measures, this only bounds what a wrong caller could make us hold.
_EVENT_BYTES = 8 * 2**20
#: Says to the gateway that the request did not get in and may be sent elsewhere.
REFUSED = "X-Sandbox-Refused"


def application(environment: Environment) -> web.Application:
    """The front over `environment`."""
    invocations: set[asyncio.Task[web.Response]] = set()

    async def invoke(request: web.Request) -> web.Response:
        payload = await request.read() or b"{}"
        # A task of its own: a caller that hangs up does not end the invocation, as in AWS.
        task = asyncio.create_task(run(request, payload))
        invocations.add(task)
        task.add_done_callback(invocations.discard)
        return await asyncio.shield(task)

    async def run(request: web.Request, payload: bytes) -> web.Response:
        headers = request.headers
        invocation = Invocation(
            payload,
            headers.get("X-Sandbox-Function-Arn", environment.settings.arn),
            trace=headers.get("X-Amzn-Trace-Id") or trace_id(),
            client_context=headers.get("X-Amz-Client-Context"),
        )
        if request_id := headers.get("X-Sandbox-Request-Id"):
            invocation.request_id = request_id
        try:
            outcome = await environment.invoke(invocation)
        except BusyError:
            return failure(
                429, "TooManyRequestsException", "Rate Exceeded.", Reason="ConcurrentInvocationLimitExceeded"
            )
        except RieError as error:
            log.error("invocation %s was not served: %s", invocation.request_id, error)
            return failure(500, "ServiceException", f"The execution environment failed: {error}")
        answer = {"X-Amzn-RequestId": outcome.request_id, "X-Amz-Executed-Version": "$LATEST"}
        if outcome.error:
            answer["X-Amz-Function-Error"] = outcome.error
        if headers.get("X-Amz-Log-Type", "").lower() == "tail":
            answer["X-Amz-Log-Result"] = base64.b64encode(outcome.log).decode()
        return web.Response(body=outcome.payload, headers=answer, content_type="application/json")

    def failure(status: int, kind: str, message: str, **more: str) -> web.Response:
        body = json.dumps({"Type": "User" if status < 500 else "Service", "message": message, **more})
        headers = {"x-amzn-ErrorType": kind}
        if status == 429:
            headers[REFUSED] = "busy"
        return web.Response(status=status, text=body, headers=headers, content_type="application/json")

    async def health(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "state": environment.state,
                "served": environment.served,
                "coldStarts": environment.cold_starts,
                "function": environment.settings.name,
                "handler": environment.settings.handler,
                "logStream": environment.settings.log_stream,
            }
        )

    async def drained(_: web.Application) -> None:
        if invocations:
            await asyncio.wait(invocations)

    app = web.Application(client_max_size=_EVENT_BYTES)
    app.router.add_post("/2015-03-31/functions/{name}/invocations", invoke)
    app.router.add_get("/health", health)
    app.on_shutdown.append(drained)
    return app
