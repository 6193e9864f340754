"""What is handed to the runtime, and what is said of an invocation that failed."""

import base64
import json

from sandbox.invocation import Fault, Invocation
from sandbox.logs import TAIL_BYTES, Logs

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def test_client_context_is_decoded_to_one_line() -> None:
    context = base64.b64encode(b'{"custom":\n {"a": "\xc3\xa9"}}').decode()
    headers = Invocation(b"{}", ARN, client_context=context).headers(1)
    assert json.loads(headers["Lambda-Runtime-Client-Context"]) == {"custom": {"a": "é"}}
    assert "\n" not in headers["Lambda-Runtime-Client-Context"]


def test_faults_are_awss_bodies() -> None:
    assert json.loads(Fault("Sandbox.Timedout", "Task timed out after 3.00 seconds").payload("id")) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: id Error: Task timed out after 3.00 seconds",
    }
    assert Fault("Runtime.ImportModuleError", "", body=b'{"mine": 1}').payload("id") == b'{"mine": 1}'


async def test_the_tail_is_bounded() -> None:
    logs = Logs()
    for number in range(2000):
        logs.write(f"line {number}\n")
    assert len(logs.tail) == TAIL_BYTES
    assert logs.tail.endswith(b"line 1999\n")
    logs.begin()
    assert logs.tail == b""
