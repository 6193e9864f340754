"""The function against promises in memory, answering as the server does."""

import base64
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from resonate.types import PromiseRecord, Value

import lambda_function
from contract import Job, step_id
from jobs import Jobs
from promises import Promises


class FakePromises(Promises):
    """What :class:`Promises` does, with a dict for a server."""

    def __init__(self) -> None:
        super().__init__("http://nowhere")
        self.records: dict[str, PromiseRecord] = {}
        #: The failure with which the next promise ends just before it would be cancelled.
        self.ends_before_cancelled: Any = None

    def call[T](self, work: Callable[[Promises], Awaitable[T]], remaining_seconds: float) -> T:
        async def run() -> T:
            return await work(self)

        return self._runner.run(run())

    async def get(self, promise_id: str) -> PromiseRecord | None:
        return self.records.get(promise_id)

    async def start(
        self, promise_id: str, function: str, args: list[Any], *, timeout_at: int, tags: dict[str, str]
    ) -> PromiseRecord:
        param = Value(data=json.loads(json.dumps({"func": function, "args": args})))
        return self.records.setdefault(
            promise_id,
            PromiseRecord(id=promise_id, state="pending", param=param, tags=tags, timeout_at=timeout_at),
        )

    def settle(self, promise_id: str, state: Any, value: Any, param: Any = None) -> PromiseRecord:
        known = self.records.get(promise_id)
        if known is None or known.state == "pending":
            self.records[promise_id] = PromiseRecord(
                id=promise_id,
                state=state,
                param=known.param if known else Value(data=param),
                value=Value(data=value),
                tags=known.tags if known else {},
                timeout_at=0,
                created_at=1,
                settled_at=None if state == "pending" else int(time.time() * 1000),
            )
        return self.records[promise_id]

    async def resolve(self, promise_id: str, value: Any) -> PromiseRecord:
        return self.settle(promise_id, "resolved", value)

    async def cancel(self, promise_id: str, value: Any) -> PromiseRecord:
        failure, self.ends_before_cancelled = self.ends_before_cancelled, None
        if failure is not None:
            return self.settle(promise_id, "rejected", failure)
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

    def step(self, job: dict[str, Any], name: str, state: str, value: Any = None) -> None:
        """Put a step's promise where a worker would have put it."""
        self.settle(step_id(Job(**job), name), state, value)


class Context:
    function_name = "document-processor"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:document-processor"
    aws_request_id = "r-1"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@pytest.fixture
def promises(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePromises]:
    fake = FakePromises()
    monkeypatch.setattr(lambda_function, "promises", fake)
    monkeypatch.setattr(lambda_function, "jobs", Jobs(fake))
    yield fake
    fake._runner.close()


type Call = Callable[..., tuple[int, dict[str, Any], dict[str, Any]]]


@pytest.fixture(params=["2.0", "1.0"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls the function with an event of either payload version."""

    def made(
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str | None = "application/json",
        encoded: bool = False,
        query: dict[str, str] | None = None,
        claims: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any], dict[str, Any]]:
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        if encoded and text is not None:
            text = base64.b64encode(text.encode()).decode()
        headers = {"content-type": content_type} if content_type else {}
        event = event_of(request.param, method, path, headers, query, text, encoded)
        if claims is not None:
            token = {"claims": claims, "scopes": None}
            event["requestContext"]["authorizer"] = {"jwt": token} if request.param == "2.0" else token
        answer = lambda_function.lambda_handler(event, Context())  # type: ignore[arg-type]
        told = {**(answer.get("headers") or {}), **(answer.get("multiValueHeaders") or {})}
        return answer["statusCode"], json.loads(answer["body"]), told

    return made


def event_of(
    version: str,
    method: str,
    path: str,
    headers: dict[str, str],
    query: dict[str, str] | None,
    body: str | None,
    encoded: bool,
) -> dict[str, Any]:
    common = {"headers": headers, "queryStringParameters": query, "body": body, "isBase64Encoded": encoded}
    if version == "2.0":
        http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
        return {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "requestContext": {"http": http, "requestId": "r-1", "stage": "$default"},
            **common,
        }
    return {
        "version": "1.0",
        "resource": path,
        "path": path,
        "httpMethod": method,
        "requestContext": {"requestId": "r-1", "stage": "$default"},
        **common,
    }
