"""The Resonate SDK: the one version that both halves are written for, without its use of pickle.

SDK 0.8.1 keeps a pickle of an exception beside its text in the promise that it rejects, and unpickles what it finds in
a promise that was rejected: anybody who can settle a promise could run code in the process that reads it. Importing
`durable_lambda` takes pickle away from the SDK in the whole process. Then only the text of an exception is written and
read (`ApplicationError`). See docs/decisions/0082-nothing-is-unpickled.md.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, NoReturn

from resonate import codec

#: The version of resonate-sdk whose private parts this module and the worker's connections.py override.
SDK_VERSION = "0.8.1"


class OtherSdkError(RuntimeError):
    """The SDK that is installed is not the one that is overridden here."""


class PickleRefused(Exception):
    """The SDK tried to pickle or unpickle. It handles this as any failure of pickle: it uses the text instead."""


class _NoPickle:
    """What the SDK's codec finds under the name `pickle`."""

    @staticmethod
    def loads(*_: Any, **__: Any) -> NoReturn:
        raise PickleRefused("No value of a promise is unpickled: that would run the code in it.")

    @staticmethod
    def dumps(*_: Any, **__: Any) -> NoReturn:
        raise PickleRefused("No exception is pickled: nothing here unpickles one.")


def check_version(found: str | None = None) -> None:
    """Raises :class:`OtherSdkError` if the installed SDK is not :data:`SDK_VERSION`."""
    found = found or version("resonate-sdk")
    if found != SDK_VERSION:
        raise OtherSdkError(
            f"resonate-sdk {found} is installed, but durable_lambda overrides private parts of {SDK_VERSION}. Install "
            "that version; or check what docs/decisions/0033-the-sdks-connections.md and 0082-nothing-is-unpickled.md "
            "list, then set SDK_VERSION in durable_lambda/sdk.py."
        )


def refuse_pickle() -> None:
    """Take pickle away from the SDK, in this process. Raises :class:`OtherSdkError` if the SDK is another version."""
    check_version()
    vars(codec)["pickle"] = _NoPickle
