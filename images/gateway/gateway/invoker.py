"""One synchronous invocation: borrow an environment, hand the event over, bring the answer back."""

import asyncio
import logging
import os
import time
import uuid
from dataclasses import dataclass, field

import aiohttp

from .environments import AbsentError, Environments

log = logging.getLogger("gateway.invoker")
#: Nothing takes longer: a function may run 900 s, and its init 10 s before that.
_LONGEST_SECONDS = 930.0
_CONNECT_SECONDS = 2.0
_PATH = "/2015-03-31/functions/function/invocations"


class LostError(Exception):
    """The environment went away, or failed, with the request inside. AWS: ServiceException, 500."""


def trace_id() -> str:
    """https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader"""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"


@dataclass
class Call:
    """One invocation, asked for."""

    payload: bytes
    arn: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace: str = field(default_factory=trace_id)
    client_context: str | None = None
    tail: bool = False


@dataclass
class Result:
    """What the function answered. `error` is X-Amz-Function-Error, `log` X-Amz-Log-Result."""

    payload: bytes
    error: str | None
    log: str | None


class Invoker:
    """Invokes over `environments`; a request waits at most `burst` seconds for one."""

    def __init__(self, environments: Environments, burst: float) -> None:
        self._environments = environments
        self._burst = burst
        self._running: set[asyncio.Task[Result]] = set()
        # Connections are kept a moment only: one left by a container that is gone would take a request
        # with it.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2, use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=_LONGEST_SECONDS, sock_connect=_CONNECT_SECONDS),
            auto_decompress=False,
            # The tail of a log is 4 KB, in base64 a good 5.
            max_field_size=16384,
        )

    async def close(self) -> None:
        """Waits for what runs, then closes."""
        if self._running:
            await asyncio.wait(self._running)
        await self._session.close()

    async def invoke(self, call: Call) -> Result:
        """Raises ThrottledError, LostError. Whoever asked may go: the invocation goes on, as in AWS."""
        task = asyncio.create_task(self._invoke(call))
        self._running.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: "asyncio.Task[Result]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    async def _invoke(self, call: Call) -> Result:
        until = asyncio.get_running_loop().time() + self._burst
        try:
            while True:
                async with self._environments.borrow(until) as loan:
                    result = await self._hand_over(call, loan.address)
                    if result is not None:
                        return result
                    loan.refused = True
        except AbsentError as error:
            raise LostError(str(error)) from None

    async def _hand_over(self, call: Call, address: str) -> Result | None:
        """None if the environment did not take the request: it may be handed to another. Raises LostError."""
        headers = {
            "Content-Type": "application/json",
            "X-Sandbox-Request-Id": call.request_id,
            "X-Sandbox-Function-Arn": call.arn,
            "X-Amzn-Trace-Id": call.trace,
        }
        if call.client_context:
            headers["X-Amz-Client-Context"] = call.client_context
        if call.tail:
            headers["X-Amz-Log-Type"] = "Tail"
        try:
            async with self._session.post(
                f"http://{address}{_PATH}", data=call.payload, headers=headers
            ) as response:
                body = await response.read()
                if response.status == 200:
                    error = response.headers.get("X-Amz-Function-Error")
                    return Result(body, error, response.headers.get("X-Amz-Log-Result"))
                if response.headers.get("X-Sandbox-Refused"):
                    return None
                raise LostError(f"execution environment {address}: {body.decode(errors='replace')}")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # Never got in: safe to try the next one.
            log.info("environment %s cannot be reached: %s", address, error)
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("environment %s was lost with request %s inside: %r", address, call.request_id, error)
            raise LostError(f"execution environment {address} was lost while it ran the request") from error
