"""Waits for a condition, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(probe: Callable[[], T], what: str, seconds: float = 30.0, every: float = 0.1) -> T:
    """Call `probe` every `every` seconds until it returns something true, and return that.

    An assertion or a connection error of the probe counts as "not yet" and is named when time runs out.

    Raises TimeoutError, saying `what` was waited for and what was seen last.
    """
    deadline = time.monotonic() + seconds
    last: object = "nothing"
    while True:
        try:
            seen = probe()
            if seen:
                return seen
            last = seen
        except (AssertionError, OSError, LookupError, ConnectionError) as error:
            last = repr(error)
        except Exception as error:
            # httpx and botocore have their own exception classes for a server that does not answer.
            if type(error).__module__.split(".")[0] not in {"httpx", "botocore", "httpcore"}:
                raise
            last = repr(error)
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}; seen last: {last}")
        time.sleep(every)
