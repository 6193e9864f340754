"""The function's connection to the Resonate server: one client for each execution environment; every call has a time limit.

AWS freezes the process between invocations, so a connection may be dead when the process goes on: the first request that
fails is repeated at once. An invocation ends when it answers, so every call is awaited before the answer, within a limit
that leaves enough time to answer that the server cannot be reached.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from resonate.connections import HttpConnection
from resonate.error import ConnectorError, ServerError
from resonate.resonate import Resonate
from resonate.types import PromiseRecord, Value

from durable_lambda.address import address
from durable_lambda.deadline import FOREVER
from durable_lambda.ids import WORKER_GROUP

#: Seconds that a request may wait for the server; shorter than what a client or an API Gateway waits for us.
BUDGET_SECONDS = 3.0
#: Seconds of the invocation's remaining time that are kept for the answer.
RESERVE_SECONDS = 0.5
_NOT_FOUND = 404
_ERROR = 500
#: The statuses that a server with AUTH=on answers if the token is missing or does not allow the request.
_REFUSED = (401, 403)


class ServerAwayError(ConnectionError):
    """The Resonate server does not answer. Send the same request again: what was recorded already is not repeated."""


class ServerFailsError(Exception):
    """The Resonate server answers that it cannot do the request.

    The server's own message is not passed on, because it may contain stored data. If the server's store is damaged,
    earlier records may be lost as well.
    """


class _AtOnceThenOften:
    """The delays between repetitions: none at first (the connection died in the freeze), then a quarter second."""

    def delay(self, attempt: int) -> float:
        return 0.0 if attempt == 0 else 0.25


class Promises:
    """Durable promises. :meth:`call` runs the other methods, from synchronous code."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._token = token
        self._runner = asyncio.Runner()
        self._client: Resonate | None = None

    def call[T](self, work: Callable[[], Awaitable[T]], remaining_seconds: float) -> T:
        """Run `work` to its end.

        Raises :class:`ServerAwayError` if the server does not answer in time, :class:`ServerFailsError` if it answers
        that it cannot.
        """
        budget = max(0.1, min(BUDGET_SECONDS, remaining_seconds - RESERVE_SECONDS))

        async def bounded() -> T:
            if self._client is None:  # its constructor needs the running loop
                network = HttpConnection(self.url, backoff=_AtOnceThenOften(), auth=self._token)
                self._client = Resonate(
                    network=network, sources=[], subscription_refresh_secs=0, token=self._token
                )
                await network.start()
            async with asyncio.timeout(budget):
                return await work()

        try:
            return self._runner.run(bounded())
        except (TimeoutError, ConnectorError) as error:
            raise ServerAwayError(f"The workflow server did not answer within {budget:.1f} s.") from error
        except ServerError as error:
            if error.code in _REFUSED:
                raise ServerFailsError("The workflow server refuses the function's token.") from None
            if error.code >= _ERROR:
                raise ServerFailsError("The workflow server cannot do this; its log says why.") from None
            raise

    def close(self) -> None:
        """Close the connection. In AWS nothing calls this: an environment just ends."""
        if self._client is not None:
            self._runner.run(self._client.stop())
            self._client = None
        self._runner.close()

    async def get(self, promise_id: str) -> PromiseRecord | None:
        """A promise, or None if there is none."""
        try:
            return await self._open.promises.get(promise_id)
        except ServerError as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    async def start(
        self,
        promise_id: str,
        function: str,
        args: list[Any],
        *,
        kwargs: dict[str, Any] | None = None,
        version: int = 1,
        target: str = f"poll://any@{WORKER_GROUP}",
        timeout_at: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> PromiseRecord:
        """Create a promise that a worker's function fulfils. A promise that exists is returned as it is.

        `timeout_at` is its deadline in milliseconds since 1970; by default ten years from now.
        """
        return await self._open.promises.create(
            promise_id,
            deadline() if timeout_at is None else timeout_at,
            Value(data={"func": function, "args": args, "kwargs": kwargs or {}, "version": version}),
            {
                **(tags or {}),
                "resonate:origin": promise_id,
                "resonate:branch": promise_id,
                "resonate:parent": promise_id,
                "resonate:scope": "global",
                "resonate:target": target,
            },
        )

    async def resolve(self, promise_id: str, value: Any) -> PromiseRecord:
        """Resolve a promise. One that is settled already is returned as it is."""
        return await self._open.promises.resolve(promise_id, Value(data=value))

    async def cancel(self, promise_id: str, value: Any) -> PromiseRecord:
        """Cancel a promise. One that is settled already is returned as it is."""
        return await self._open.promises.cancel(promise_id, Value(data=value))

    async def search(
        self, state: str | None, tags: dict[str, str], limit: int, cursor: str | None
    ) -> tuple[list[PromiseRecord], str | None]:
        """Promises with these tags in the order of their ids, and the cursor of the next page."""
        found = await self._open.promises.search(state, tags, limit, cursor)
        return found.promises, found.cursor

    @property
    def _open(self) -> Resonate:
        if self._client is None:
            raise RuntimeError(
                "Call the methods of Promises inside of Promises.call(), which opens the connection."
            )
        return self._client


def args_of(record: PromiseRecord) -> list[Any]:
    """The arguments that a root promise carries for its workflow."""
    found: list[Any] = (record.param.data or {})["args"]
    return found


def deadline() -> int:
    """The deadline of a promise that is created now, in milliseconds since 1970."""
    return int((time.time() + FOREVER.total_seconds()) * 1000)


def connect() -> Promises:
    """A connection to the server that the environment variables name."""
    return Promises(server_url(os.environ), server_token(os.environ))


def server_url(environ: Mapping[str, str]) -> str:
    """RESONATE_URL; else RESONATE_HOST, at the port RESONATE_STORE_PORT; else a server on this machine."""
    url = environ.get("RESONATE_URL")
    return url or address(environ.get("RESONATE_HOST") or "localhost", environ.get("RESONATE_STORE_PORT"))


def server_token(environ: Mapping[str, str]) -> str | None:
    """RESONATE_TOKEN; else what the file RESONATE_TOKEN_FILE holds; None if neither is set."""
    token, file = environ.get("RESONATE_TOKEN"), environ.get("RESONATE_TOKEN_FILE")
    if not token and file:
        try:
            token = Path(file).read_text().strip()
        except OSError as error:
            raise OSError(f"RESONATE_TOKEN_FILE is {file}, which cannot be read: {error.strerror}.") from None
    return token or None
