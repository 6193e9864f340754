"""What a layer brings: modules, a wrapper script, an extension.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
"""

from collections.abc import Callable

import pytest

from harness.stack import Stack
from integration.gateway.invoking import PROBE, PROBE_SETTINGS, call, invoke

FILES = [PROBE, "tests/integration/gateway/layer.yaml"]
MakeStack = Callable[..., Stack]


@pytest.fixture(scope="module")
def layered(make_module_stack: MakeStack) -> Stack:
    env = PROBE_SETTINGS | {"LAMBDA_TIMEOUT": "8", "PROBE_WRAPPER": "/opt/wrapper"}
    return make_module_stack(env=env, files=FILES, services=["gateway"])


def test_modules_of_a_layer_are_found(layered: Stack) -> None:
    """Both places of a Python layer:
    https://docs.aws.amazon.com/lambda/latest/dg/python-layers.html#python-layer-paths"""
    assert invoke(layered, {"do": "import", "module": "from_layer"}) == "from the layer"
    assert invoke(layered, {"do": "import", "module": "also_from_layer"}) == "from the layer as well"
    assert invoke(layered, {"do": "path"})[:4] == [
        "/var/task",
        "/opt/python/lib/python3.13/site-packages",
        "/opt/python",
        "/var/runtime",
    ]


def test_wrapper_script_starts_the_runtime(layered: Stack) -> None:
    """ "When you set AWS_LAMBDA_EXEC_WRAPPER … Lambda starts the runtime using this script":
    https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper"""
    environ = invoke(layered, {"do": "environ"})
    assert environ["WRAPPED"] == "yes"
    assert environ["_HANDLER"] == "probe.handler"


def test_extension_is_not_run_and_that_is_said(layered: Stack) -> None:
    """AWS would run it (https://docs.aws.amazon.com/lambda/latest/dg/lambda-extensions.html); here the function works
    without it, and the log says so."""
    assert invoke(layered, {"n": 1}) == {"n": 1}
    assert "extensions are not run here: telemetry" in layered.logs("lambda")


def test_wrapper_that_is_not_there_is_an_init_error(make_stack: MakeStack) -> None:
    """What AWS reports of a runtime that cannot start: Runtime.ExitError, and the reason in the log."""
    env = PROBE_SETTINGS | {"LAMBDA_TIMEOUT": "8", "PROBE_WRAPPER": "/opt/nowhere"}
    stack = make_stack(env=env, files=FILES, services=["gateway"])
    failed = call(stack, {})
    assert failed.error == "Unhandled"
    assert failed.payload["errorType"] == "Runtime.ExitError"
    assert failed.payload["errorMessage"].endswith("Runtime exited with error: exit status 1")
    assert "/opt/nowhere cannot be run: No such file or directory" in failed.log
