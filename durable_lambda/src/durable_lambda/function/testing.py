"""For the unit tests of an application's function: promises in memory, and the events that API Gateway sends.

Usage::

    promises = PromisesInMemory()
    monkeypatch.setattr(lambda_function.app, "promises", promises)
    answer = lambda_function.lambda_handler(event_of("2.0", "POST", "/jobs", {"jobId": "a"}))
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from resonate.types import PromiseRecord, PromiseState, Value

from durable_lambda.function.promises import Promises, deadline


class PromisesInMemory(Promises):
    """Like :class:`Promises`, but with a dict in place of the server."""

    def __init__(self) -> None:
        super().__init__("http://in.memory")
        self.records: dict[str, PromiseRecord] = {}

    def call[T](self, work: Callable[[], Awaitable[T]], remaining_seconds: float) -> T:
        async def run() -> T:
            return await work()

        return self._runner.run(run())

    async def get(self, promise_id: str) -> PromiseRecord | None:
        return self.records.get(promise_id)

    async def start(
        self,
        promise_id: str,
        function: str,
        args: list[Any],
        *,
        kwargs: dict[str, Any] | None = None,
        version: int = 1,
        target: str = "",
        timeout_at: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> PromiseRecord:
        # Through JSON and back, as over the wire.
        said = {"func": function, "args": args, "kwargs": kwargs or {}, "version": version}
        fresh = PromiseRecord(
            id=promise_id,
            state="pending",
            param=Value(data=json.loads(json.dumps(said))),
            tags=tags or {},
            timeout_at=deadline() if timeout_at is None else timeout_at,
        )
        return self.records.setdefault(promise_id, fresh)

    async def resolve(self, promise_id: str, value: Any) -> PromiseRecord:
        return self.settle(promise_id, "resolved", value)

    async def cancel(self, promise_id: str, value: Any) -> PromiseRecord:
        return self.settle(promise_id, "rejected_canceled", value)

    async def search(
        self, state: str | None, tags: dict[str, str], limit: int, cursor: str | None
    ) -> tuple[list[PromiseRecord], str | None]:
        found = [
            record
            for name, record in sorted(self.records.items())
            if record.tags.items() >= tags.items() and state in (None, record.state) and name > (cursor or "")
        ]
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    def settle(self, promise_id: str, state: PromiseState, value: Any, param: Any = None) -> PromiseRecord:
        """Settle a promise as a worker or a person would have. One that is settled already stays as it is."""
        known = self.records.get(promise_id)
        if known is None or known.state == "pending":
            self.records[promise_id] = PromiseRecord(
                id=promise_id,
                state=state,
                param=known.param if known else Value(data=param),
                value=Value(data=value),
                tags=known.tags if known else {},
                timeout_at=known.timeout_at if known else deadline(),
                created_at=1,
                settled_at=None if state == "pending" else int(time.time() * 1000),
            )
        return self.records[promise_id]


def event_of(
    version: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    claims: dict[str, str] | None = None,
    encoded: bool = False,
) -> dict[str, Any]:
    """An event of API Gateway, payload `version` 2.0 or 1.0.

    A `body` that is not text is sent as JSON, in base64 if `encoded`. `claims` are those of a token that API Gateway has
    checked.
    """
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    if encoded and text is not None:
        text = base64.b64encode(text.encode()).decode()
    context: dict[str, Any] = {"requestId": "r-1", "stage": "$default"}
    common = {
        "version": version,
        "headers": {"content-type": "application/json"} if headers is None else headers,
        "queryStringParameters": query,
        "requestContext": context,
        "body": text,
        "isBase64Encoded": encoded,
    }
    token = {"claims": claims, "scopes": None}
    if version == "2.0":
        context["http"] = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
        if claims is not None:
            context["authorizer"] = {"jwt": token}
        return {**common, "routeKey": "$default", "rawPath": path, "rawQueryString": ""}
    if claims is not None:
        context["authorizer"] = token
    return {**common, "resource": path, "path": path, "httpMethod": method}
