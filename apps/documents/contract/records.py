"""What the worker writes into promises, and the function reads back."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Resume(BaseModel):
    """Where a retried job goes on: at the step `first`, with the checkpoints of the steps before it."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    #: The step that runs first.
    first: str
    #: step -> its checkpoint, for every step before `first`.
    checkpoints: dict[str, dict[str, Any]]
    #: step -> the promise that holds that checkpoint.
    promises: dict[str, str]
