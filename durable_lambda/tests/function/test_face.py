"""`durable_lambda.Resonate`, which has the methods of the older SDK, against a server."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from resonate.error import ApplicationError, InvalidIdError
from resonate.types import PromiseRecord, Value
from servers import Server

import durable_lambda
from durable_lambda import Resonate
from durable_lambda.function.face import CALL_SECONDS, NoPromiseError, NotHereError
from durable_lambda.function.promises import Promises

JOB = {"jobId": "job-1", "pages": 2}


@pytest.fixture
def resonate(server: Server) -> Iterator[Resonate]:
    made = Resonate.remote(group="gateway", host="http://127.0.0.1", store_port=str(server.port))
    yield made
    made.stop()


@pytest.fixture
def line(server: Server) -> Iterator[Promises]:
    """A second client, which reads and settles promises."""
    made = Promises(server.url)
    yield made
    made.close()


def said(record: PromiseRecord) -> dict[str, Any]:
    """The workflow's function and arguments, as the promise holds them."""
    found: dict[str, Any] = record.param.data or {}
    return found


def look(line: Promises, promise_id: str) -> PromiseRecord:
    found = line.call(lambda: line.get(promise_id), 30)
    assert found is not None
    return found


def test_the_seed_s_way_from_a_job_to_its_result(resonate: Resonate, line: Promises) -> None:
    handle = resonate.options(target="poll://any@readers", timeout=60).begin_rpc(
        "doc/a", "process_document", JOB
    )
    # It exists already, not at some later time.
    record = look(line, "doc/a")
    assert record.param.data == {"func": "process_document", "args": [JOB], "kwargs": {}, "version": 1}
    assert record.tags["resonate:target"] == "poll://any@readers"
    assert 50 < record.timeout_at / 1000 - time.time() < 61
    assert handle.id == "doc/a"
    assert not handle.done()
    assert not resonate.get("doc/a").done()
    line.call(lambda: line.resolve("doc/a", {"pages": 2}), 30)
    for seen in (handle, resonate.get("doc/a")):
        assert seen.done()
        assert seen.result() == {"pages": 2}


def test_the_same_id_is_the_same_promise_whatever_else_is_asked(resonate: Resonate, line: Promises) -> None:
    resonate.begin_rpc("doc/a", "process_document", JOB)
    assert resonate.begin_rpc("doc/a", "another", "x").id == "doc/a"
    assert said(look(line, "doc/a"))["func"] == "process_document"
    line.call(lambda: line.resolve("doc/a", "done"), 30)
    assert resonate.begin_rpc("doc/a", "process_document", JOB).result() == "done"


def test_options_belong_to_the_client_they_are_asked_of(resonate: Resonate, line: Promises) -> None:
    def resize(ctx: Any, width: int) -> None: ...

    other = resonate.options(target="resizers", tags={"kind": "picture"}, version=3)
    other.begin_rpc("a", resize, 5, height=6)
    resonate.begin_rpc("b", "resize")
    record = look(line, "a")
    assert record.param.data == {"func": "resize", "args": [5], "kwargs": {"height": 6}, "version": 3}
    assert (record.tags["kind"], record.tags["resonate:target"]) == ("picture", "poll://any@resizers")
    record = look(line, "b")
    assert record.tags["resonate:target"] == "poll://any@worker"
    assert said(record)["version"] == 1
    assert (record.timeout_at / 1000 - time.time()) / 86400 > 3649


def test_a_workflow_that_failed_raises_what_it_said(resonate: Resonate, line: Promises) -> None:
    for name in ("failed", "cancelled"):
        resonate.begin_rpc(name, "f")

    async def fail() -> None:
        error = {"__type": "error", "message": "no such document"}
        await line._open.promises.reject("failed", Value(data=error))

    line.call(fail, 30)
    line.call(lambda: line.cancel("cancelled", None), 30)
    with pytest.raises(ApplicationError, match=r"^no such document$"):
        resonate.get("failed").result()
    with pytest.raises(ApplicationError, match=r"^cancelled was cancelled\.$"):
        resonate.get("cancelled").result()
    with pytest.raises(ApplicationError, match=r"^late went over its deadline\.$"):
        resonate.options(timeout=0.2).begin_rpc("late", "f").result()


def test_a_result_is_waited_for_and_not_longer_than_asked(resonate: Resonate, line: Promises) -> None:
    handle = resonate.begin_rpc("doc/a", "f")
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^doc/a has not ended within 0\.3 s\.$"):
        handle.result(timeout=0.3)
    assert time.monotonic() - started < 2
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    later = threading.Timer(0.3, lambda: line.call(lambda: line.resolve("doc/b", 5), 30))
    later.start()
    assert resonate.rpc("doc/b", "f") == 5
    later.join()


def test_what_does_not_exist_is_a_lookup_error(resonate: Resonate, server: Server) -> None:
    with pytest.raises(NoPromiseError, match=rf"no promise doc/none on the server at {server.url}") as caught:
        resonate.get("doc/none")
    assert isinstance(caught.value, LookupError)


def test_it_works_where_an_event_loop_runs_and_from_several_threads(resonate: Resonate) -> None:
    async def inside() -> str:
        return resonate.begin_rpc("doc/loop", "f").id

    assert asyncio.run(inside()) == "doc/loop"
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(resonate.begin_rpc(f"doc/{n}", "f").id))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"doc/{n}" for n in range(8)]


@pytest.mark.parametrize("frozen", [True, False], ids=["answers nothing", "is not there"])
def test_a_server_that_is_away_is_told_in_time(resonate: Resonate, server: Server, frozen: bool) -> None:
    """The answer comes before AWS's default time-out of 3 s ends the function."""
    resonate.begin_rpc("doc/a", "f")
    if frozen:
        server.signal(signal.SIGSTOP)
    else:
        server.stop()
    calls: list[Callable[[], object]] = [
        lambda: resonate.begin_rpc("doc/b", "f"),
        lambda: resonate.get("doc/a"),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(ConnectionError, match=rf"at {server.url} did not answer within 2\.5 s"):
            call()
        assert time.monotonic() - started < CALL_SECONDS + 0.4
    if frozen:
        server.signal(signal.SIGCONT)
    else:
        server.start()
    assert resonate.begin_rpc("doc/b", "f").id == "doc/b"


def test_it_is_made_at_module_level_with_everything_the_older_one_takes(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    code = f"""
from durable_lambda import Resonate
resonate = Resonate.remote(group="gateway", host=None, store_port="8001", message_source_port="8002", ttl=10,
                           pid="me", workers=2, log_level="DEBUG", dependencies=None, registry=None)
resonate.start()
print(resonate.begin_rpc("doc/m", "f", {JOB}).id)
resonate.stop()
"""
    monkeypatch.setenv("RESONATE_URL", server.url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("doc/m\n", 0), done.stderr


@pytest.mark.parametrize("name", ["run", "begin_run", "register", "schedule", "local", "set_dependency"])
def test_what_a_function_must_not_do_is_refused_with_what_to_do(resonate: Resonate, name: str) -> None:
    with pytest.raises(NotHereError, match=rf"Resonate\.{name} .*worker\.py"):
        getattr(resonate, name)
    assert not hasattr(resonate, "nonsense")


def test_options_that_cannot_be_kept_are_refused(resonate: Resonate) -> None:
    with pytest.raises(ValueError, match="RESONATE_TOKEN_FILE"):
        Resonate.remote(auth=("user", "password"))
    for name in ("encoder", "idempotency_key"):
        with pytest.raises(TypeError, match=rf"options\({name}=…\) .*leave it out"):
            resonate.options(**dict[str, Any]({name: "x"}))
    with pytest.raises(InvalidIdError):
        resonate.begin_rpc("a:1", "f")


def test_the_name_is_the_library_s_only_lazy_one() -> None:
    assert durable_lambda.Resonate is Resonate
    with pytest.raises(AttributeError, match="nonsense"):
        _ = durable_lambda.nonsense
