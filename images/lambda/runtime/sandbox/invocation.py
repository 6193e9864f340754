"""What goes into an execution environment and what comes out."""

import base64
import binascii
import json
import uuid
from dataclasses import dataclass, field

from shared.trace import trace_id


@dataclass
class Invocation:
    payload: bytes
    arn: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace: str = field(default_factory=trace_id)
    #: As X-Amz-Client-Context carries it: base64 of JSON.
    client_context: str | None = None

    def headers(self, deadline_ms: int) -> dict[str, str]:
        """The headers of the Runtime API's `next`."""
        headers = {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.arn,
            "Lambda-Runtime-Trace-Id": self.trace,
        }
        if self.client_context:
            headers["Lambda-Runtime-Client-Context"] = _one_line(self.client_context)
        return headers


def _one_line(client_context: str) -> str:
    try:
        return json.dumps(json.loads(base64.b64decode(client_context, validate=True)))
    except (binascii.Error, ValueError):
        return client_context


@dataclass
class Outcome:
    """`error` is X-Amz-Function-Error: "Unhandled", or None if the handler returned. `log` is a tail."""

    request_id: str
    payload: bytes
    error: str | None = None
    log: bytes = b""


@dataclass
class Fault:
    """An invocation that the function did not answer itself: AWS's error type, message, and REPORT status."""

    kind: str
    message: str
    status: str = "error"
    #: The body that the function itself sent, if it sent one (an init error).
    body: bytes | None = None

    def payload(self, request_id: str) -> bytes:
        if self.body is not None:
            return self.body
        message = f"RequestId: {request_id} Error: {self.message}"
        if self.kind == "Function.ResponseSizeTooLarge":
            message = self.message
        return json.dumps({"errorType": self.kind, "errorMessage": message}, separators=(",", ":")).encode()
