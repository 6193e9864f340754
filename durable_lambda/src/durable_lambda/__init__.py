"""Durable workflows behind AWS Lambda: the library that both halves of an application import.

:mod:`durable_lambda.function` is the function's side, :mod:`durable_lambda.worker` the worker's. `Resonate` is a client for
functions that were written for the Resonate SDK 0.5 and 0.6 (:mod:`durable_lambda.function.face`).

Importing any of it stops the Resonate SDK from using pickle in this process (:mod:`durable_lambda.sdk`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_lambda.sdk import refuse_pickle

if TYPE_CHECKING:
    from durable_lambda.function.face import Resonate

__all__ = ["Resonate", "__version__"]
__version__ = "0.2.0"

refuse_pickle()


def __getattr__(name: str) -> Any:
    # Imported on first use: a worker does not need it.
    if name == "Resonate":
        from durable_lambda.function.face import Resonate

        return Resonate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
