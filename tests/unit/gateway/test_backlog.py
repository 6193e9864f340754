"""The store of asynchronous events, and what happens to an event that fails."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

import gateway.invoker
from gateway.backlog import Backlog, Event
from gateway.delivery import Delivery, dead_letter
from gateway.environments import Environments, ThrottledError
from gateway.invoker import Call, LostError, Result
from gateway.lambda_api import LambdaApi
from gateway.settings import Settings


def event(payload: bytes = b'{"n": 1}') -> Event:
    return Event.of(Call(payload, "arn:aws:lambda:us-east-1:000000000000:function:f"))


async def test_an_event_is_there_after_a_restart(tmp_path: Path) -> None:
    sent = event()
    first = Backlog(tmp_path)
    await first.add(sent)
    # Not closed: the process was killed.
    second = Backlog(tmp_path)
    assert await second.due(sent.due, 10, set()) == [sent]
    await second.remove(sent)
    assert await second.count() == 0


async def test_due_leaves_out_what_is_under_way_or_later(tmp_path: Path) -> None:
    store = Backlog(tmp_path)
    now, later, running = event(), event(), event()
    later.due += 100
    for one in (now, later, running):
        await store.add(one)
    found = await store.due(max(now.due, running.due), 10, {running.request_id})
    assert [one.request_id for one in found] == [now.request_id]
    assert await store.next_due({now.request_id, running.request_id}) == later.due
    assert await store.next_due({one.request_id for one in (now, later, running)}) is None


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Backlog(tmp_path / "file")


class Invoker:
    """Gives the answers that a test sets, one per call."""

    def __init__(self, *answers: Result | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []

    async def invoke(self, call: Call) -> Result:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


FAILED = Result(b'{"errorType": "ValueError"}', "Unhandled", None)
DONE = Result(b"null", None, None)


async def deliver(store: Backlog, invoker: Invoker, **settings: object) -> None:
    values = {"event_pauses": (0.01, 0.01)} | settings
    delivery = Delivery(Settings(**values), store, invoker, Environments("x", 1))  # type: ignore[arg-type]
    running = asyncio.create_task(delivery.run())
    async with asyncio.timeout(10):
        while await store.count():  # noqa: ASYNC110 - the store is a database, it has no event
            await asyncio.sleep(0.01)
    running.cancel()


async def test_function_errors_are_tried_three_times_in_all(tmp_path: Path) -> None:
    store, sent = Backlog(tmp_path), event()
    await store.add(sent)
    invoker = Invoker(FAILED, FAILED, FAILED)
    await deliver(store, invoker)
    assert {call.request_id for call in invoker.calls} == {sent.request_id}
    (letter,) = await store.dead_letters()
    assert letter["requestContext"]["approximateInvokeCount"] == 3
    assert letter["responsePayload"] == {"errorType": "ValueError"}


async def test_the_third_try_may_succeed(tmp_path: Path) -> None:
    store = Backlog(tmp_path)
    await store.add(event())
    await deliver(store, Invoker(FAILED, FAILED, DONE))
    assert await store.dead_letters() == []


async def test_throttling_and_lost_environments_are_no_failures(tmp_path: Path) -> None:
    store = Backlog(tmp_path)
    await store.add(event())
    invoker = Invoker(ThrottledError(), LostError("gone"), DONE)
    await deliver(store, invoker)
    assert len(invoker.calls) == 3
    assert await store.dead_letters() == []


async def test_an_event_that_is_too_old_is_given_up(tmp_path: Path) -> None:
    store, sent = Backlog(tmp_path), event()
    sent.accepted -= 100
    await store.add(sent)
    invoker = Invoker()
    await deliver(store, invoker, event_age=50.0)
    (letter,) = await store.dead_letters()
    assert letter["requestContext"]["condition"] == "EventAgeExceeded"
    assert "responseContext" not in letter
    assert not invoker.calls


def test_a_dead_letter_is_json() -> None:
    assert json.loads(json.dumps(dead_letter(event(), "RetriesExhausted", FAILED)))["version"] == "1.0"


async def test_an_event_that_the_disk_refuses_is_answered_as_aws_answers(tmp_path: Path) -> None:
    """202 only after it is stored; otherwise ServiceException, as JSON that an AWS SDK can raise."""
    settings, backlog = Settings.read({}), Backlog(tmp_path)
    # Nobody is there to run what is accepted.
    environments = Environments("localhost", 1)
    invoker = gateway.invoker.Invoker(environments, 0)
    delivery = Delivery(settings, backlog, invoker, environments)
    api = LambdaApi(settings, invoker, environments, backlog, delivery)
    # A database that may not grow is a disk that is full.
    await backlog._run(lambda: backlog._database.execute("PRAGMA max_page_count = 1").fetchall())
    path = "/2015-03-31/functions/function/invocations"
    async with TestClient(TestServer(api.application())) as client:
        answers = [
            await client.post(path, data=b'"%s"' % (b"x" * 5000), headers={"X-Amz-Invocation-Type": "Event"})
            for _ in range(50)
        ]
        last = answers[-1]
        assert last.status == 500
        assert last.headers["x-amzn-ErrorType"] == "ServiceException"
        assert "database or disk is full" in (await last.json())["Message"]
        assert await backlog.count() == sum(answer.status == 202 for answer in answers)
    await invoker.close()
    await backlog.close()
