"""One synchronous invocation: borrow an environment, send it the event, return its answer."""

import asyncio
import logging
import uuid
from dataclasses import dataclass, field

from shared.trace import trace_id
from shared.wire import Client, WireError

from .environments import LOST_SECONDS, REFUSED_SECONDS, AbsentError, Environments, Loan

log = logging.getLogger("gateway.invoker")
#: Nothing takes longer: a function may run 900 s, and its init 10 s before that.
_LONGEST_SECONDS = 930.0
_CONNECT_SECONDS = 2.0
#: Connections are kept for a moment only: a request sent over one to a container that is gone would be lost.
_KEPT_SECONDS = 2.0
_PATH = "/2015-03-31/functions/function/invocations"


class LostError(Exception):
    """The environment ended or failed while it ran the request. AWS: ServiceException, 500."""


@dataclass
class Call:
    """One invocation to make."""

    payload: bytes
    arn: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace: str = field(default_factory=trace_id)
    client_context: str | None = None
    tail: bool = False

    def headers(self) -> dict[str, str]:
        headers = {
            # One name for all environments: they refuse an IP address as Host.
            "Host": "lambda",
            "Content-Type": "application/json",
            "X-Sandbox-Request-Id": self.request_id,
            "X-Sandbox-Function-Arn": self.arn,
            "X-Amzn-Trace-Id": self.trace,
        }
        if self.client_context:
            headers["X-Amz-Client-Context"] = self.client_context
        if self.tail:
            headers["X-Amz-Log-Type"] = "Tail"
        return headers


@dataclass
class Result:
    """What the function answered. `error` is X-Amz-Function-Error, `log` X-Amz-Log-Result."""

    payload: bytes
    error: str | None
    log: str | None


class Connections:
    """A connection to each environment, kept for a moment after its last use."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Client, asyncio.TimerHandle]] = {}

    async def take(self, address: str) -> Client:
        """An open connection; give it back with `keep`. Raises OSError, TimeoutError."""
        client, timer = self._kept.pop(address, (None, None))
        if timer is not None:
            timer.cancel()
        if client is None:
            host, _, port = address.rpartition(":")
            client = Client(host, int(port))
        async with asyncio.timeout(_CONNECT_SECONDS):
            await client.open()
        return client

    def keep(self, address: str, client: Client) -> None:
        self._drop(address)
        timer = asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._drop, address)
        self._kept[address] = (client, timer)

    def _drop(self, address: str) -> None:
        client, timer = self._kept.pop(address, (None, None))
        if client is not None and timer is not None:
            timer.cancel()
            client.close()

    def close(self) -> None:
        for address in list(self._kept):
            self._drop(address)


class Invoker:
    """Invokes over `environments`; a request waits at most `burst` seconds for one."""

    def __init__(self, environments: Environments, burst: float) -> None:
        self._environments = environments
        self._burst = burst
        self._running: set[asyncio.Task[Result]] = set()
        self._connections = Connections()

    async def close(self) -> None:
        """Waits for running invocations, then closes."""
        if self._running:
            await asyncio.wait(self._running)
        self._connections.close()

    async def invoke(self, call: Call) -> Result:
        """Raises ThrottledError, LostError. If the caller disconnects, the invocation goes on, as in AWS."""
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
                    result = await self._hand_over(call, loan)
                    if result is not None:
                        return result
                    loan.rest = REFUSED_SECONDS
        except AbsentError as error:
            raise LostError(str(error)) from None

    async def _hand_over(self, call: Call, loan: Loan) -> Result | None:
        """None if the environment did not take the request: it may be handed to another. Raises LostError."""
        address = loan.address
        try:
            client = await self._connections.take(address)
        except (OSError, TimeoutError) as error:
            # The request was not sent: it is safe to try the next environment.
            log.info("environment %s cannot be reached: %s", address, error)
            return None
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                reply = await client.request("POST", _PATH, call.payload, call.headers())
        except (WireError, TimeoutError) as error:
            log.warning("environment %s broke while it ran request %s: %s", address, call.request_id, error)
            loan.rest = LOST_SECONDS
            raise LostError(f"execution environment {address} was lost while it ran the request") from error
        self._connections.keep(address, client)
        if reply.status == 200:
            error_kind = reply.headers.get("x-amz-function-error")
            return Result(reply.body, error_kind, reply.headers.get("x-amz-log-result"))
        if "x-sandbox-refused" in reply.headers:
            return None
        raise LostError(f"execution environment {address}: {reply.body.decode(errors='replace')}")
