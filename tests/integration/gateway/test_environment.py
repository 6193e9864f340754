"""The execution environment: cold and warm, frozen between invocations, and what the function finds in it.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

# ruff: noqa: S108 - the environment's own /tmp

import json
import re
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from harness.stack import Stack
from harness.waiting import wait_for
from integration.gateway.invoking import call, invoke, processes, wait_until_frozen

MakeProbe = Callable[..., Stack]


@pytest.fixture(scope="module")
def probe(make_probe: MakeProbe) -> Stack:
    """With enough time to start again after a crash, even on a busy machine."""
    stack = make_probe(LAMBDA_TIMEOUT="8")
    invoke(stack, {"do": "state"})
    return stack


def stands_still(stack: Stack, word: str = "bootstrap.py") -> None:
    """Seen from outside: the processes are stopped and use no processor time while other things happen on the machine."""
    for process in wait_until_frozen(stack, word):
        before = process.ran()
        for _ in range(50):
            # A thread that ticks every 10 ms would have run in the meantime.
            httpx.get(f"{stack.lambda_url}/_local/health")
        assert process.ran() == before


def test_work_left_running_stands_still_until_the_next_invocation(probe: Stack) -> None:
    """ "Lambda freezes the execution environment when the runtime and each extension have completed"."""
    ticks = invoke(probe, {"do": "tick"})["ticks"]
    stands_still(probe)

    # AND it goes on while the next invocations run
    def ticked() -> bool:
        invoke(probe, {"do": "sleep", "seconds": 0.2})
        return bool(invoke(probe, {"do": "state"})["ticks"] > ticks + 20)

    wait_for(ticked, "the thread to go on")
    stands_still(probe)


def test_a_child_process_is_frozen_too_even_in_a_session_of_its_own(probe: Stack) -> None:
    invoke(probe, {"do": "child"})

    def counted() -> int:
        invoke(probe, {"do": "sleep", "seconds": 0.2})
        return int(invoke(probe, {"do": "read", "path": "/tmp/child"}) or 0)

    first = wait_for(counted, "the child to run")
    stands_still(probe, "/tmp/child")
    wait_for(lambda: counted() > first, "the child to go on")
    # Ends the child as well.
    call(probe, {"do": "leave", "status": 1})


def test_without_the_freeze_the_same_probe_runs_on(make_probe: MakeProbe) -> None:
    """LAMBDA_FREEZE=off shows what other emulators let through."""
    stack = make_probe(LAMBDA_FREEZE="off")
    invoke(stack, {"do": "tick"})
    (process,) = processes(stack)
    before = process.ran()
    wait_for(lambda: process.ran() > before + 10**6, "a millisecond of the thread's work")


def test_cold_start_is_the_first_request_only(make_probe: MakeProbe) -> None:
    stack = make_probe()
    cold = call(stack, {"do": "state"})
    assert "INIT_START Runtime Version: python:3.13" in cold.log
    assert re.fullmatch(r"\d+\.\d\d ms", cold.report["Init Duration"])
    # "Billed Duration" includes the Init phase:
    # https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/
    spent = float(cold.report["Duration"].split()[0]) + float(cold.report["Init Duration"].split()[0])
    assert spent <= int(cold.report["Billed Duration"].split()[0]) <= spent + 1.02
    warm = call(stack, {"do": "state"})
    assert "Init Duration" not in warm.report
    assert warm.payload["born"] == cold.payload["born"]
    assert warm.payload["calls"] == cold.payload["calls"] + 1
    assert 10 <= int(warm.report["Max Memory Used"].split()[0]) <= 128


def test_reset_after_a_crash_keeps_tmp_and_starts_the_function_anew(probe: Stack) -> None:
    """ "Lambda … resets the execution environment", and re-initialises it within the next invocation, whose
    REPORT has no Init Duration ("suppressed init"); /tmp is not cleared by a reset."""
    invoke(probe, {"do": "write", "path": "/tmp/kept"})
    born = invoke(probe, {"do": "state"})["born"]
    call(probe, {"do": "leave", "status": 1})
    after = call(probe, {"do": "state"})
    assert after.payload["born"] > born
    assert "Init Duration" not in after.report
    assert invoke(probe, {"do": "read", "path": "/tmp/kept"}) == "x"


def test_slow_init_is_stopped_at_its_limit_and_tried_again_in_the_invocation(make_probe: MakeProbe) -> None:
    """ "The Init phase is limited to 10 seconds. If … not complete within 10 seconds, Lambda retries the Init phase
    at the time of the first function invocation with the configured function timeout" (LAMBDA_INIT_SECONDS=1 here).
    """
    stack = make_probe(LAMBDA_HANDLER="slow_init.handler", LAMBDA_INIT_SECONDS="1", LAMBDA_TIMEOUT="20")
    answer = call(stack, {"n": 1})
    assert answer.payload == {"n": 1}
    assert re.search(r"INIT_REPORT Init Duration: 1\d{3}\.\d\d ms\tPhase: init\tStatus: timeout", answer.log)
    assert "Init Duration" not in answer.report
    assert float(answer.report["Duration"].split()[0]) > 2400


def test_import_error_is_an_init_error(make_probe: MakeProbe) -> None:
    stack = make_probe(LAMBDA_HANDLER="broken_import.handler", LAMBDA_TIMEOUT="20")
    for _ in range(2):
        failed = call(stack, {})
        assert failed.error == "Unhandled"
        assert failed.payload["errorType"] == "Runtime.ImportModuleError"
        assert failed.payload["errorMessage"] == (
            "Unable to import module 'broken_import': No module named 'no_such_module'"
        )
        assert "Status: error\tError Type: Runtime.ImportModuleError" in failed.log
        assert failed.report["Status"] == "error"


def test_exit_at_init_is_reported(make_probe: MakeProbe) -> None:
    stack = make_probe(LAMBDA_HANDLER="leaves_at_init.handler", LAMBDA_TIMEOUT="20")
    failed = call(stack, {})
    assert failed.payload["errorType"] == "Runtime.ExitError"
    assert failed.payload["errorMessage"].endswith("Runtime exited with error: exit status 7")
    assert "Phase: init\tStatus: error\tError Type: Runtime.ExitError" in failed.log


def is_cold(stack: Stack) -> bool:
    script = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/health').read().decode())"
    said = stack.compose("exec", "-T", "lambda", "python", "-c", script)
    return bool(json.loads(said)["state"] == "cold")


def test_idle_environment_is_torn_down_and_the_next_request_is_cold(make_probe: MakeProbe) -> None:
    stack = make_probe(LAMBDA_IDLE_SECONDS="1")
    first = call(stack, {"do": "context"})
    invoke(stack, {"do": "write", "path": "/tmp/gone"})
    wait_for(partial(is_cold, stack), "the tear-down")
    second = call(stack, {"do": "context"})
    assert "Init Duration" in second.report
    assert second.payload["logStream"] != first.payload["logStream"]
    assert invoke(stack, {"do": "read", "path": "/tmp/gone"}) is None


def test_file_system_is_read_only_but_tmp(probe: Stack) -> None:
    for path in ("/var/task/x", "/opt/x", "/x", "/var/runtime/x", "/home/x"):
        assert invoke(probe, {"do": "write", "path": path})["error"], path
    assert invoke(probe, {"do": "write", "path": "/tmp/x"})["error"] is None
    assert invoke(probe, {"do": "read", "path": "/tmp/x"}) == "x"


def test_tmp_has_512_mb(probe: Stack) -> None:
    """Quota "/tmp directory storage: between 512 MB and 10,240 MB"; the default is 512."""
    script = "import os; s = os.statvfs('/tmp'); print(s.f_blocks * s.f_frsize)"
    size = int(probe.compose("exec", "-T", "lambda", "python", "-c", script))
    assert size == 512 * 2**20


def test_user_is_unprivileged(probe: Stack) -> None:
    assert invoke(probe, {"do": "state"})["uid"] not in (0,)


def test_environment_has_the_documented_variables_and_none_of_ours(probe: Stack) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime"""
    environ = invoke(probe, {"do": "environ"})
    assert environ["AWS_LAMBDA_FUNCTION_NAME"] == "document-processor"
    assert environ["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert environ["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/document-processor"
    assert environ["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert environ["_HANDLER"] == "probe.handler"
    assert environ["LAMBDA_TASK_ROOT"] == "/var/task"
    assert environ["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environ["TZ"] == ":UTC"
    # The function's own configuration is there,
    assert environ["RESONATE_URL"] == "http://server:8001"
    assert environ["DOCUMENTS_BUCKET"] == "documents"
    # the supervisor's and the container's is not.
    ours = {name for name in environ if name.startswith("LAMBDA_")} - {
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
    assert not ours
    assert not {"HOSTNAME", "HOME", "PWD", "AWS_LAMBDA_FUNCTION_TIMEOUT", "LAMBDA_FREEZE"} & set(environ)


def test_search_path_is_function_then_layers_then_runtime(probe: Stack) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-searchpath"""
    path = invoke(probe, {"do": "path"})
    assert path[:4] == [
        "/var/task",
        "/opt/python/lib/python3.13/site-packages",
        "/opt/python",
        "/var/runtime",
    ]


def test_context_is_right(probe: Stack) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""
    called = call(probe, {"do": "context"})
    context = called.payload
    assert context["name"] == "document-processor"
    assert context["version"] == "$LATEST"
    assert context["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:document-processor"
    assert context["requestId"] == called.request_id
    assert context["memory"] == "128"
    assert context["logGroup"] == "/aws/lambda/document-processor"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["logStream"])
    assert 7000 < context["remaining"] <= 8000
    assert context["trace"].startswith("Root=1-")


def test_json_logs_have_platform_events(make_probe: MakeProbe) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html"""
    stack = make_probe(LAMBDA_LOG_FORMAT="JSON")
    call(stack, {"do": "print", "text": '{"message": "mine"}'})
    failed = call(stack, {"do": "raise", "message": "bad"})
    lines = [json.loads(line) for line in failed.log.splitlines() if line]
    kinds = [line.get("type") for line in lines]
    assert [kind for kind in kinds if kind] == ["platform.start", "platform.runtimeDone", "platform.report"]
    report = next(line for line in lines if line.get("type") == "platform.report")
    assert report["record"]["requestId"] == failed.request_id
    assert report["record"]["metrics"]["memorySizeMB"] == 128
    error = next(line for line in lines if line.get("level") == "ERROR")
    assert error["errorType"] == "ValueError"
    assert error["errorMessage"] == "bad"


def test_environments_are_found_and_lost_while_running(make_probe: MakeProbe) -> None:
    """`--scale lambda=3`, and back to 1: requests are served throughout."""
    stack = make_probe()

    def known(count: int) -> bool:
        health = httpx.get(f"{stack.lambda_url}/_local/health").json()
        return bool(health["environments"] == count)

    for count in (3, 1):
        stack.compose("up", "--detach", "--no-recreate", "--no-deps", "--scale", f"lambda={count}", "lambda")
        wait_for(partial(known, count), f"{count} environments", seconds=20)
        assert invoke(stack, {"n": count}) == {"n": count}
