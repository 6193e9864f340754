"""Invoking the probe with boto3, as a user's program would."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from harness.stack import Stack


@dataclass
class Invoked:
    """What an invocation came to."""

    status: int
    payload: Any
    error: str | None
    log: str
    request_id: str

    @property
    def report(self) -> dict[str, str]:
        """The fields of the REPORT line."""
        line = next(line for line in self.log.splitlines() if line.startswith("REPORT "))
        pairs = re.findall(r"([A-Z][A-Za-z ]+): (.+?)(?:\t|$)", line.removeprefix("REPORT "))
        return dict(pairs)


def call(stack: Stack, event: object, **options: Any) -> Invoked:
    """Invokes synchronously, with the log's tail; function errors are returned, API errors raised."""
    answer = stack.lambda_.invoke(
        FunctionName=options.pop("name", "function"), Payload=json.dumps(event), LogType="Tail", **options
    )
    return Invoked(
        answer["StatusCode"],
        json.loads(answer["Payload"].read()),
        answer.get("FunctionError"),
        base64.b64decode(answer.get("LogResult", "")).decode(),
        answer["ResponseMetadata"]["RequestId"],
    )


def invoke(stack: Stack, event: object, **options: Any) -> Any:
    """What the function returned; it must not have failed."""
    invoked = call(stack, event, **options)
    assert invoked.error is None, invoked
    return invoked.payload
