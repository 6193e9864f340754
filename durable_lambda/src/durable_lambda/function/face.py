"""`Resonate` with the methods of the SDK 0.5 and 0.6, for a function that hands jobs over to a worker.

Usage::

    from durable_lambda import Resonate

    resonate = Resonate.remote(group="gateway")

    def lambda_handler(event, context=None):
        resonate.options(target="poll://any@worker").begin_rpc("doc/job-1", "process_document", {"jobId": "job-1"})
        …
        handle = resonate.get("doc/job-1")
        if handle.done():
            return handle.result()

The client of SDK 0.8 needs a running event loop, creates promises in the background, and waits without end for a server
that it cannot reach: in a function that AWS freezes as soon as it answers, jobs would be lost. Here every call is
synchronous. `begin_rpc` returns once the promise exists on the server, or raises within 2.5 seconds: less than the 3
seconds that a Lambda function has by default.

As in the older SDK, `begin_rpc` with the id of a promise that exists returns that promise, whatever function and
arguments it was created with: the id is the only key. `rpc` and `Handle.result` wait as long as the job takes, unless
`result` is given a time-out; a function that answers in seconds asks `done` first.

It refuses what a function must not do: there is no `run`, `begin_run`, `register`, `schedule` or `local`, because workflows
are registered and run in `worker.py`. A handle cannot be awaited. `options` takes no `encoder`, which the worker would not
know, and no `idempotency_key`, which the server no longer has.
"""

from __future__ import annotations

import atexit
import copy
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from resonate.codec import decode_settled
from resonate.error import ApplicationError
from resonate.ids import validate_root_id
from resonate.types import PromiseRecord

from durable_lambda.address import address
from durable_lambda.deadline import FOREVER
from durable_lambda.function.promises import (
    RESERVE_SECONDS,
    Promises,
    ServerAwayError,
    server_token,
    server_url,
)
from durable_lambda.ids import WORKER_GROUP

#: Seconds in which a call to the server returns or raises.
CALL_SECONDS = 2.5
#: The longest pause between two looks at a promise that is waited for, in seconds.
_LONGEST_PAUSE = 2.0
_NOT_HERE = ("register", "run", "begin_run", "schedule", "schedules", "promises", "set_dependency", "local")


class NoPromiseError(LookupError):
    """There is no promise with this id."""


class NotHereError(AttributeError):
    """The older SDK has this, and a Lambda function must not use it; the message says what to do instead."""


@dataclass(frozen=True)
class _Options:
    target: str = WORKER_GROUP
    timeout: float = FOREVER.total_seconds()
    tags: dict[str, str] = field(default_factory=dict)
    version: int = 1


class Resonate:
    """A client that starts workflows by name and looks at them; made by :meth:`remote`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._promises = Promises(url, token)
        # A thread of its own: a caller may have an event loop running, or several threads.
        self._line = ThreadPoolExecutor(max_workers=1, thread_name_prefix="resonate")
        self._options = _Options()
        atexit.register(self._promises.close)

    @classmethod
    def remote(
        cls,
        auth: tuple[str, str] | None = None,
        dependencies: Any = None,
        group: str = "default",
        host: str | None = None,
        log_level: int | str = "INFO",
        message_source_port: str | int | None = None,
        pid: str | None = None,
        registry: Any = None,
        store_port: str | int | None = None,
        ttl: int = 10,
        workers: int | None = None,
    ) -> Resonate:
        """A client of the server at `host` and `store_port`. No connection is made yet, and no event loop is needed.

        Without `host` the environment names the server: RESONATE_URL, else RESONATE_HOST and RESONATE_STORE_PORT. The
        token is RESONATE_TOKEN, or the content of the file RESONATE_TOKEN_FILE. The other parameters are taken, and not
        used: they concern clients that run workflows or listen for messages. `auth` is refused.
        """
        if auth is not None:
            raise ValueError(
                "auth=(user, password) is not supported: the server takes tokens. Set RESONATE_TOKEN, or "
                "RESONATE_TOKEN_FILE to a file that holds the token."
            )
        url = (
            address(host, store_port or os.environ.get("RESONATE_STORE_PORT"))
            if host
            else server_url(os.environ)
        )
        return cls(url, server_token(os.environ))

    def options(
        self,
        *,
        encoder: Any = None,
        idempotency_key: Any = None,
        retry_policy: Any = None,
        tags: dict[str, str] | None = None,
        target: str | None = None,
        timeout: float | None = None,
        version: int | None = None,
    ) -> Resonate:
        """The same client with other options for the workflows that it starts.

        `target` is a group of workers, or `poll://any@GROUP`; by default the group that the variable WORKER_GROUP names.
        `timeout` is the workflow's deadline in seconds from its start, by default ten years. `retry_policy` is not used,
        as a worker retries by its own.
        """
        for name, value in (("encoder", encoder), ("idempotency_key", idempotency_key)):
            if value is not None:
                raise TypeError(
                    f"options({name}=…) is not supported: leave it out. The promise's id is the key."
                )
        given: dict[str, Any] = {"tags": tags, "target": target, "timeout": timeout, "version": version}
        changed = copy.copy(self)
        changed._options = replace(self._options, **{k: v for k, v in given.items() if v is not None})
        return changed

    def begin_rpc(self, id: str, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Handle:
        """Start the workflow `func` of a worker, with these arguments; return once its promise exists.

        Raises :class:`~durable_lambda.function.promises.ServerAwayError` (a `ConnectionError`) within 2.5 seconds if the
        server does not answer: send the same call again.
        """
        validate_root_id(id)
        name = func if isinstance(func, str) else func.__name__
        options = self._options
        record = self._call(
            lambda: self._promises.start(
                id,
                name,
                list(args),
                kwargs=kwargs,
                version=options.version,
                target=options.target if "://" in options.target else f"poll://any@{options.target}",
                timeout_at=int((time.time() + options.timeout) * 1000),
                tags=options.tags,
            )
        )
        return Handle(self, record)

    def rpc(self, id: str, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Start a workflow and wait for its result, however long it takes. A function uses :meth:`begin_rpc`."""
        return self.begin_rpc(id, func, *args, **kwargs).result()

    def get(self, id: str) -> Handle:
        """A handle for a promise that exists. Raises :class:`NoPromiseError` (a `LookupError`) if there is none."""
        return Handle(self, self._get(id))

    def start(self) -> None:
        """Does nothing: a client that only hands jobs over has nothing to start."""

    def stop(self) -> None:
        """Close the connection to the server. In AWS nothing calls this: an environment just ends."""
        self._line.submit(self._promises.close).result()
        self._line.shutdown()

    def __getattr__(self, name: str) -> NoReturn:
        if name in _NOT_HERE:
            raise NotHereError(
                f"Resonate.{name} is not available in a Lambda function, which hands jobs over and runs none. "
                "Register and run workflows in worker.py."
            )
        raise AttributeError(f"'Resonate' object has no attribute {name!r}")

    def _get(self, id: str) -> PromiseRecord:
        record = self._call(lambda: self._promises.get(id))
        if record is None:
            raise NoPromiseError(f"There is no promise {id} on the server at {self._promises.url}.")
        return record

    def _call[T](self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return self._line.submit(self._promises.call, work, CALL_SECONDS + RESERVE_SECONDS).result()
        except ServerAwayError as error:
            raise ServerAwayError(
                f"The Resonate server at {self._promises.url} did not answer within {CALL_SECONDS} s. "
                "Send the same request again."
            ) from error


class Handle:
    """A workflow that was started; its promise exists on the server."""

    def __init__(self, resonate: Resonate, record: PromiseRecord) -> None:
        self._resonate = resonate
        self._record = record

    @property
    def id(self) -> str:
        """The promise's id."""
        return self._record.id

    def done(self) -> bool:
        """Whether the workflow has ended, well or not. Asks the server."""
        if self._record.state == "pending":
            self._record = self._resonate._get(self.id)
        return self._record.state != "pending"

    def result(self, timeout: float | None = None) -> Any:
        """What the workflow returned. Waits for it, at most `timeout` seconds.

        Raises `ApplicationError` of the SDK if the workflow failed, was cancelled or went over its deadline, and
        `TimeoutError` if it has not ended in time.
        """
        until = None if timeout is None else time.monotonic() + timeout
        pause = 0.05
        while not self.done():
            left = _LONGEST_PAUSE if until is None else until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.id} has not ended within {timeout} s.")
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        match self._record.state:
            case "rejected_canceled":
                raise ApplicationError(f"{self.id} was cancelled.")
            case "rejected_timedout":
                raise ApplicationError(f"{self.id} went over its deadline.")
        return decode_settled(self._record)
