"""The two ways a try of a step fails.

    Trouble
    ├── Transient   may be over in a moment: the step is tried again
    └── Permanent   will be the same next time: the job fails at once

A step raises them with the codes that its application documents. The library raises them with the codes below; an
application that has other codes for these lists them in :attr:`durable_lambda.worker.Tools.codes`.
"""

from __future__ import annotations

#: The library's own codes.
CODES: dict[str, str] = {
    "checkpoint_lost": "S3 no longer has what an earlier step stored.",
    "crashed": "A limited process died of a signal.",
    "internal_error": "A bug, in a step or in the library.",
    "not_found": "The address answers 404 or 410.",
    "not_readable": "The address refuses to hand out what is there.",
    "over_limit": "A limited process needed more time, memory or output than it may have.",
    "storage_refused": "S3 refuses the request.",
    "storage_unavailable": "S3 cannot be reached, or fails.",
    "too_large": "A download is larger than the limit.",
    "unreachable": "The address cannot be reached, is too slow, or fails.",
    "url_not_allowed": "The URL is not one that this worker connects to.",
    "worker_lost": "The step killed one worker after the other (TASK_TRIES).",
}


class Trouble(Exception):
    """A try failed: a code for programs, a message for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Transient(Trouble):
    """May be over in a moment.

    `retry_after`: the seconds that the other side asks for; `most`: how many tries this fault may cost.
    """

    def __init__(
        self, code: str, message: str, retry_after: float | None = None, *, most: int | None = None
    ) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after
        self.most = most


class Permanent(Trouble):
    """Will be the same next time."""
