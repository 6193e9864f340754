"""The SDK runs no code from a promise's value: the value is text only, in the function and in the worker."""

import base64
import inspect
import json
import os
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from resonate import codec
from resonate.codec import Codec, NoopEncryptor, decode_settled
from resonate.context import Context
from resonate.error import ApplicationError
from resonate.resonate import Resonate
from resonate.types import PromiseRecord, Value

from durable_lambda.sdk import OtherSdkError, check_version

CODEC = Codec(NoopEncryptor())


class Hostile:
    """Creates a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The path that exists only if hostile code has run."""
    return tmp_path / "ran"


@pytest.fixture
def hostile(trace: Path) -> dict[str, str]:
    pickled = base64.b64encode(pickle.dumps(Hostile(trace))).decode()
    return {"__type": "error", "message": "the text beside it", "__py_pickle": pickled}


def wire(value: object) -> Value:
    return Value(data=base64.b64encode(json.dumps(value).encode()).decode())


def test_the_value_would_run(trace: Path, hostile: dict[str, str]) -> None:
    pickle.loads(base64.b64decode(hostile["__py_pickle"]))  # noqa: S301 - made here
    assert trace.is_dir()


@pytest.mark.parametrize("state", ["rejected", "rejected_canceled", "rejected_timedout"])
def test_a_rejected_value_is_its_text(trace: Path, hostile: dict[str, str], state: Any) -> None:
    record = CODEC.decode_promise(PromiseRecord(id="doc/j:1", state=state, value=wire(hostile), timeout_at=1))
    with pytest.raises(ApplicationError, match=r"^the text beside it$"):
        decode_settled(record)
    assert isinstance(error := CODEC.decode_error(wire(hostile)), ApplicationError)
    assert error.message == "the text beside it"
    assert not trace.exists()


def test_without_a_text_it_is_an_unknown_error(trace: Path, hostile: dict[str, str]) -> None:
    del hostile["message"]
    assert "unknown error" in str(CODEC.decode_error(wire(hostile)))
    assert not trace.exists()


def test_what_is_written_is_text_alone() -> None:
    said = json.loads(base64.b64decode(str(CODEC.encode(ValueError("what went wrong")).data)))
    assert said == {"__type": "error", "message": "what went wrong"}


async def test_a_workflow_that_awaits_a_hostile_value_runs_none_of_it(
    trace: Path, hostile: dict[str, str]
) -> None:
    """Uses the whole SDK with its in-memory server: a child, a promise from outside, and the root."""
    resonate = Resonate(env={})

    async def flow(ctx: Context) -> str:
        answer = ctx.promise(timeout=timedelta(hours=1))
        await resonate.promises.reject(await answer.id(), Value(data=hostile))
        try:
            await answer
        except ApplicationError as error:
            return str(error)
        return "resolved"

    resonate.register(flow)
    try:
        assert await resonate.run("doc/j", flow).result() == "the text beside it"
        root = resonate.rpc("doc/k", "nobody's")
        await root.id()
        await resonate.promises.reject("doc/k", Value(data=hostile))
        with pytest.raises(ApplicationError, match="the text beside it"):
            await root.result()
    finally:
        await resonate.stop()
    assert not trace.exists()  # noqa: ASYNC240


@pytest.mark.parametrize(
    "module", ["durable_lambda", "durable_lambda.ids", "durable_lambda.function.promises"]
)
def test_whichever_module_is_imported_first_the_sdk_has_no_pickle(module: str) -> None:
    look = f"import {module}; from resonate import codec; print(codec.pickle.__name__)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "_NoPickle"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "import durable_lambda",
            ["aws_lambda_powertools", "boto3", "pydantic_settings", "resonate.resonate"],
        ),
        ("from durable_lambda import Resonate", ["aws_lambda_powertools", "boto3", "pydantic_settings"]),
    ],
)
def test_the_base_imports_nothing_of_the_extras(code: str, absent: list[str]) -> None:
    look = f"{code}; import sys; print([name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_codec_is_the_only_place_where_the_sdk_pickles() -> None:
    """The library disables pickle in one module of the SDK. This test fails if the SDK uses pickle anywhere else."""
    home = Path(inspect.getfile(codec)).parent
    users = [path.relative_to(home) for path in home.rglob("*.py") if "import pickle" in path.read_text()]
    assert users == [Path("codec.py")]
    source = inspect.getsource(codec)
    assert "pickle.loads(" in source
    assert "pickle.dumps(" in source


def test_another_sdk_is_refused_with_what_to_do() -> None:
    check_version()
    with pytest.raises(OtherSdkError, match=r"resonate-sdk 9\.9\.9 .*decisions/0033.*0082"):
        check_version("9.9.9")
