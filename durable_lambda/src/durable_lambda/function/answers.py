"""What a request is answered with: an :class:`Answer`, or the :class:`Refusal` that its handler raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An answer: its HTTP status, and its body as JSON."""

    status: int
    body: dict[str, Any]
    #: Seconds after which it makes sense to ask again.
    retry_after: int | None = None


class Refusal(Exception):
    """The request cannot be done. It is answered as `{"error": {"code", "message", …}}`.

    `job_status` is the status of the job, if that is the reason.
    """

    def __init__(self, status: int, code: str, message: str, job_status: str | None = None) -> None:
        super().__init__(code, message)
        self.status = status
        self.code = code
        self.message = message
        self.job_status = job_status

    @property
    def details(self) -> dict[str, Any]:
        """What the error says besides its code and message."""
        return {"status": self.job_status} if self.job_status else {}
