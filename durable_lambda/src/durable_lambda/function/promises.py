"""The function's line to the Resonate server: one client an environment, every call bounded in time.

What AWS does to a function shapes this module. The process is frozen between invocations, so a connection may
be dead when it thaws: the first failure is repeated at once. And an invocation ends when it answers, so
everything is awaited before the answer, within a budget that leaves time to say that the server is away.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from resonate.connections import HttpConnection
from resonate.error import ConnectorError, ServerError
from resonate.resonate import Resonate
from resonate.types import PromiseRecord, Value

from contract import WORKER_GROUP

#: Seconds a request may wait for the server; shorter than what a client or an API Gateway waits for us.
BUDGET_SECONDS = 3.0
#: Seconds kept back of the invocation's remaining time, to answer in.
_RESERVE_SECONDS = 0.5
_NOT_FOUND = 404
_ERROR = 500
#: What a server with AUTH=on says to a token that is missing or does not allow this.
_REFUSED = (401, 403)


class ServerAwayError(Exception):
    """The Resonate server does not answer. Nothing was recorded that a repetition would not find again."""


class ServerFailsError(Exception):
    """The Resonate server answers that it cannot do the request. Its own words are not passed on: they may hold what is
    stored, and where its store is damaged, not even what was recorded before is certain.
    """


class _AtOnceThenOften:
    """The delays between repetitions: none after a connection died in the freeze, then a quarter second."""

    def delay(self, attempt: int) -> float:
        return 0.0 if attempt == 0 else 0.25


class Promises:
    """Durable promises, called from synchronous code."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url
        self._token = token
        self._runner = asyncio.Runner()
        self._client: Resonate | None = None

    def call[T](self, work: Callable[[Promises], Awaitable[T]], remaining_seconds: float) -> T:
        """Run `work` to its end.

        Raises :class:`ServerAwayError` when the server does not answer in time, :class:`ServerFailsError` when it
        answers that it cannot.
        """
        budget = max(0.1, min(BUDGET_SECONDS, remaining_seconds - _RESERVE_SECONDS))

        async def bounded() -> T:
            if self._client is None:  # its constructor needs the running loop
                network = HttpConnection(self._url, backoff=_AtOnceThenOften(), auth=self._token)
                self._client = Resonate(
                    network=network, sources=[], subscription_refresh_secs=0, token=self._token
                )
                await network.start()
            async with asyncio.timeout(budget):
                return await work(self)

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
        """Close the line. AWS never calls this: an environment just ends."""
        if self._client is not None:
            self._runner.run(self._client.stop())
        self._runner.close()

    async def get(self, promise_id: str) -> PromiseRecord | None:
        """A promise, or None where there is none."""
        try:
            return await self._open.promises.get(promise_id)
        except ServerError as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    async def start(
        self, promise_id: str, function: str, args: list[Any], *, timeout_at: int, tags: dict[str, str]
    ) -> PromiseRecord:
        """Create a promise that a worker's function fulfils. One that is there is returned as it is."""
        return await self._open.promises.create(
            promise_id,
            timeout_at,
            Value(data={"func": function, "args": args, "kwargs": {}, "version": 1}),
            {
                **tags,
                "resonate:origin": promise_id,
                "resonate:branch": promise_id,
                "resonate:parent": promise_id,
                "resonate:scope": "global",
                "resonate:target": f"poll://any@{WORKER_GROUP}",
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
        assert self._client is not None  # noqa: S101 - call() opens it
        return self._client


def connect() -> Promises:
    """The line to the server that RESONATE_URL names."""
    return Promises(os.environ.get("RESONATE_URL", "http://server:8001"), _token())


def _token() -> str | None:
    """RESONATE_TOKEN, else what is in the file RESONATE_TOKEN_FILE; None where the server asks for none."""
    file = os.environ.get("RESONATE_TOKEN_FILE")
    token = os.environ.get("RESONATE_TOKEN") or (Path(file).read_text().strip() if file else "")
    return token or None
