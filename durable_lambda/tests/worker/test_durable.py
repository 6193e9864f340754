"""How a step's tries end: it is tried again, given up or refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from resonate.context import Context
from resonate.error import ApplicationError
from resonate.resonate import Resonate
from resonate.retry import Never

from durable_lambda.faults import failure_of
from durable_lambda.worker import JobFailed, Permanent, Settings, Step, Tools, Transient, durable, run_step
from durable_lambda.worker.settings import Delays
from durable_lambda.worker.tools import provide
from durable_lambda.worker.trouble import CODES


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(ctx: Context, duration: timedelta) -> None: ...

    monkeypatch.setattr(durable, "pause", at_once)


@dataclass(frozen=True)
class Job:
    jobId: str  # noqa: N815 - the wire's spelling


class Own(Settings):
    slow_seconds: Delays = (5, 30)


class OwnTools(Tools):
    """An application's tools, with other codes for two of the library's faults."""

    codes: ClassVar[Mapping[str, str]] = {"not_found": "no_document", "unreachable": "source_away"}


class Flaky:
    """A step that fails as a test tells it to, and counts its calls."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.runs = 0

    async def run(self, tools: OwnTools, job: Job) -> dict[str, Any]:
        assert isinstance(tools, OwnTools)
        self.runs += 1
        if self.failures:
            raise self.failures.pop(0)
        return {"run": self.runs}


async def outcome_of(
    flaky: Flaky,
    delays: str = "step_retry_seconds",
    refusals: Mapping[str, str] | None = None,
) -> Any:
    """Run a one-step workflow on the SDK's own in-process server, which does not end promises by deadline."""
    resonate = Resonate(retry_policy=Never(), env={})

    async def flow(ctx: Context) -> dict[str, Any]:
        assert ctx.get_dependency(OwnTools)
        return await run_step(ctx, Step("extract_text", flaky.run, delays), Job("j"))

    resonate.register(flow)
    tools = OwnTools(Own(step_retry_seconds=(0.05, 0.05)))
    tools.refusal = (refusals or {}).get
    provide(resonate, tools)
    try:
        handle = resonate.options(timeout=timedelta(days=1)).run("doc/j", flow)
        return await handle.result()
    finally:
        await resonate.stop()


async def test_a_transient_fault_is_tried_again() -> None:
    flaky = Flaky(Transient("storage_unavailable", "down"), Transient("storage_unavailable", "still down"))
    assert await outcome_of(flaky) == {"run": 3}


@pytest.mark.parametrize(
    ("failures", "runs", "code"),
    [
        ([Permanent("document_encrypted", "locked")], 1, "document_encrypted"),
        ([Transient("storage_unavailable", "down")] * 9, 3, "storage_unavailable"),
        ([Transient("analyzer_output_invalid", "bad", most=2)] * 9, 2, "analyzer_output_invalid"),
        ([ZeroDivisionError("oops")] * 9, 3, "internal_error"),
        ([Permanent("not_found", "404")], 1, "no_document"),
        ([Transient("unreachable", "down")] * 9, 3, "source_away"),
    ],
)
async def test_what_does_not_pass_ends_the_job_with_its_code(
    failures: list[Exception], runs: int, code: str
) -> None:
    flaky = Flaky(*failures)
    with pytest.raises((JobFailed, ApplicationError)) as caught:
        await outcome_of(flaky)
    fault = failure_of({"message": str(caught.value)})
    assert (fault.step, fault.code, flaky.runs) == ("extract_text", code, runs)


async def test_each_step_waits_by_the_setting_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def paused(ctx: Context, duration: timedelta) -> None:
        waited.append(duration.total_seconds())

    monkeypatch.setattr(durable, "pause", paused)
    for delays in ("step_retry_seconds", "slow_seconds"):
        with pytest.raises(ApplicationError):
            await outcome_of(Flaky(*[Transient("unreachable", "down")] * 9), delays)
    assert waited == [0.05, 0.05, 5, 30]


async def test_a_step_that_killed_one_worker_after_the_other_is_not_run() -> None:
    flaky = Flaky()
    with pytest.raises(ApplicationError) as caught:
        await outcome_of(flaky, refusals={"doc/j:1.1": "5 workers in a row were lost."})
    fault = failure_of({"message": str(caught.value)})
    assert (fault.step, fault.code, flaky.runs) == ("extract_text", "worker_lost", 0)
    assert fault.message == "5 workers in a row were lost."


async def test_a_step_whose_promise_is_rejected_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(ctx: Context, *_: Any) -> None:
        raise KeyError("a bug, or somebody else")

    monkeypatch.setattr(durable, "one_try", broken)
    with pytest.raises(ApplicationError) as caught:
        await outcome_of(Flaky())
    fault = failure_of({"message": str(caught.value)})
    assert (fault.step, fault.code) == ("extract_text", "internal_error")
    assert "a bug, or somebody else" in fault.message


def test_the_library_s_codes_are_all_in_its_table() -> None:
    """An application documents each code or replaces it with its own, so it must not meet a code that is not in the
    table.
    """
    home = Path(durable.__file__).parent
    raised = {
        code
        for path in home.glob("*.py")
        for code in re.findall(r"(?:Permanent|Transient)\(\s*\"(\w+)\"", path.read_text())
    }
    assert raised | {"checkpoint_lost", "worker_lost"} == set(CODES)
