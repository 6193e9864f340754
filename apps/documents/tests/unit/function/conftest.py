"""The function against promises in memory, which answer as the server does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from resonate.types import PromiseRecord

import lambda_function
from contract import Job, step_id
from durable_lambda.function.testing import PromisesInMemory, event_of


class FakePromises(PromisesInMemory):
    """Promises of document jobs."""

    def __init__(self) -> None:
        super().__init__()
        #: The failure with which the next promise ends just before it would be cancelled.
        self.ends_before_cancelled: Any = None

    async def cancel(self, promise_id: str, value: Any) -> PromiseRecord:
        failure, self.ends_before_cancelled = self.ends_before_cancelled, None
        if failure is not None:
            return self.settle(promise_id, "rejected", failure)
        return await super().cancel(promise_id, value)

    def step(self, job: dict[str, Any], name: str, state: Any, value: Any = None) -> None:
        """Put a step's promise where a worker would have put it."""
        self.settle(step_id(Job(**job), name), state, value)


def function_of(record: PromiseRecord) -> str:
    """The function that a promise is for."""
    return str((record.param.data or {})["func"])


@pytest.fixture
def promises(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePromises]:
    fake = FakePromises()
    monkeypatch.setattr(lambda_function.app, "promises", fake)
    yield fake
    fake.close()


type Call = Callable[..., tuple[int, dict[str, Any], dict[str, Any]]]


@pytest.fixture(params=["2.0", "1.0"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls the function with an event of either payload version: status, body, headers."""

    def made(
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str | None = "application/json",
        **more: Any,
    ) -> tuple[int, dict[str, Any], dict[str, Any]]:
        headers = {"content-type": content_type} if content_type else {}
        event = event_of(request.param, method, path, body, headers=headers, **more)
        answer = lambda_function.lambda_handler(event)
        told = {**(answer.get("headers") or {}), **(answer.get("multiValueHeaders") or {})}
        return answer["statusCode"], json.loads(answer["body"]), told

    return made
