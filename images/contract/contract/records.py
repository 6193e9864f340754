"""What the worker writes into promises, and the function reads back."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from contract.faults import Fault


class Resume(BaseModel):
    """Where a retried job goes on: at `first`, with what the steps before it have left behind."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    #: The step that runs first.
    first: str
    #: step -> its checkpoint, for every step before `first`.
    checkpoints: dict[str, dict[str, Any]]
    #: step -> the promise that holds that checkpoint.
    promises: dict[str, str]


def failure_text(fault: Fault) -> str:
    """A fault as the message of the exception that rejects a root promise."""
    return fault.model_dump_json()


def failure_of(value: Any) -> Fault:
    """The fault in a rejected root promise's value; what is not one of ours becomes `internal_error`."""
    message = value.get("message") if isinstance(value, dict) else None
    try:
        return Fault.model_validate(json.loads(message or ""))
    except ValueError:
        return Fault(
            step="", code="internal_error", message=message or "The workflow ended without a reason."
        )
