"""The two ways a try of a step fails.

    Trouble
    ├── Transient   may be over in a moment: the step is tried again
    └── Permanent   will be the same next time: the job fails at once

Codes are those of :data:`contract.FAULTS`.
"""

from __future__ import annotations


class Trouble(Exception):
    """A try failed. `code` is one of :data:`contract.FAULTS`; the message is for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Transient(Trouble):
    """May be over in a moment. `retry_after` is the other side's own wish, in seconds; `most` limits the
    tries.
    """

    def __init__(
        self, code: str, message: str, retry_after: float | None = None, *, most: int | None = None
    ) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after
        self.most = most


class Permanent(Trouble):
    """Will be the same next time."""
