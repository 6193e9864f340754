"""Out of memory: whoever sees it first, supervisor or kernel, the function ends as in AWS and the next request is served.

The text of the message is the one that AWS's troubleshooting pages show
(https://repost.aws/knowledge-center/lambda-runtime-error, "Runtime exited with error: signal: killed"). The type is the one
in REPORT lines of AWS ("Status: error Error Type: Runtime.OutOfMemory") and of the Telemetry API; the documentation
lists no types, and of older runtimes Runtime.ExitError is reported with the same message.
"""

# ruff: noqa: S108 - the environment's own /tmp

from collections.abc import Callable

from harness.engine import inspect
from harness.stack import Stack
from integration.gateway.invoking import Invoked, call, invoke

MakeProbe = Callable[..., Stack]


def is_out_of_memory(failed: Invoked) -> None:
    assert (failed.status, failed.error) == (200, "Unhandled")
    assert failed.payload == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": f"RequestId: {failed.request_id} Error: Runtime exited with error: signal: killed",
    }
    assert failed.report["Status"] == "error"
    assert failed.report["Error Type"] == "Runtime.OutOfMemory"


def test_kernel_kills_the_function_and_nothing_else(make_probe: MakeProbe) -> None:
    """The container's limit is met before the function's (1024 MB), as when it allocates faster than the supervisor
    checks.
    """
    stack = make_probe(LAMBDA_MEMORY_MB="1024", LAMBDA_MEM_LIMIT="256m", LAMBDA_TIMEOUT="20")
    (container,) = stack.containers("lambda")
    before = inspect(container)["State"]["StartedAt"]
    for do in ({"do": "grow", "megabytes": 600}, {"do": "write", "path": "/tmp/full", "bytes": 400 * 2**20}):
        first = invoke(stack, {"do": "state"})["born"]
        is_out_of_memory(call(stack, do))
        # /tmp keeps its files after the crash; it is emptied, so that there is memory to start again.
        stack.compose("exec", "-T", "lambda", "sh", "-c", "rm -f /tmp/full")
        assert invoke(stack, {"do": "state"})["born"] > first
    after = inspect(container)
    assert after["State"]["StartedAt"] == before
    assert after["RestartCount"] == 0
    assert "set LAMBDA_MEM_LIMIT=1664m" in stack.logs("lambda")


def test_a_full_tmp_leaves_the_function_its_memory(make_probe: MakeProbe) -> None:
    """/tmp is memory here and a disk in AWS: filled with its 512 MB, the function still has LAMBDA_MEMORY_MB. The limit is
    the one that make up computes for 128 MB; no swap on top."""
    stack = make_probe(LAMBDA_MEMORY_MB="128", LAMBDA_MEM_LIMIT="768m", LAMBDA_TIMEOUT="20")
    (container,) = stack.containers("lambda")
    host = inspect(container)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 768 * 2**20
    for part in range(8):
        assert invoke(stack, {"do": "write", "path": f"/tmp/{part}", "bytes": 63 * 2**20})["error"] is None
    assert invoke(stack, {"do": "grow", "megabytes": 80}) == 80 * 2**20
    assert "LAMBDA_MEM_LIMIT" not in stack.logs("lambda")
    is_out_of_memory(call(stack, {"do": "grow", "megabytes": 300}))
