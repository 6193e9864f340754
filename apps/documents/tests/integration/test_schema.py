"""The HTTP API answers as openapi.yaml declares, whatever it is asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.stack import Stack

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]


@pytest.mark.timeout(400)
def test_schemathesis_finds_no_server_error_and_no_undeclared_answer(stack: Stack) -> None:
    """Valid and invalid requests to every operation, alone and in sequences. Unsupported methods are not asked for:
    an HTTP API answers them 404, and schemathesis wants 405."""
    command = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            *(str(command), "run", str(Path(__file__).parents[2] / "openapi.yaml"), "--url", stack.api_url),
            *("--checks", ",".join(CHECKS), "--max-examples", "25", "--no-color"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
