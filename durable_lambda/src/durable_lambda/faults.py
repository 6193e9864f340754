"""Why a job failed: what the worker writes into the root promise, and the function reads there."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Fault(BaseModel):
    """Why a job failed: the step it failed in, a code for programs, and a sentence for a person.

    An application documents its own codes. The library's own are `internal_error`, `timed_out` and `worker_lost`.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    code: str
    message: str


def failure_text(fault: Fault) -> str:
    """A fault as the message of the exception that rejects a root promise."""
    return fault.model_dump_json()


def failure_of(value: Any) -> Fault:
    """The fault in a rejected root promise's value. A value that holds none becomes an `internal_error`."""
    message = value.get("message") if isinstance(value, dict) else None
    try:
        return Fault.model_validate(json.loads(message or ""))
    except ValueError:
        return Fault(
            step="", code="internal_error", message=message or "The workflow ended without a reason."
        )
