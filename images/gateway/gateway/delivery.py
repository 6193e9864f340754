"""Delivers the asynchronous events:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

A function error is tried again twice, after 1 and 2 minutes; throttling and faults that are not the
function's are tried again, from 1 s to 5 min apart, until the event is 6 h old. An event that fails for good becomes
a dead letter, in the form of AWS's on-failure destination record.
"""

import asyncio
import contextlib
import json
import logging
import time
from functools import partial
from typing import Any

from .backlog import Backlog, DamagedError, Event
from .environments import Environments, ThrottledError
from .invoker import Invoker, LostError, Result
from .settings import Settings

log = logging.getLogger("gateway.delivery")
_LOOK_AGAIN_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 300.0
_AFTER_FAULT_SECONDS = 1.0


class Delivery:
    """Runs until cancelled; what it was delivering then is delivered again after the next start."""

    def __init__(
        self, settings: Settings, backlog: Backlog, invoker: Invoker, environments: Environments
    ) -> None:
        self._settings = settings
        self._backlog = backlog
        self._invoker = invoker
        self._environments = environments
        self._woken = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """There is a new event, or room for one."""
        self._woken.set()

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                await self._start_due()
                await self._pause()
        except DamagedError:
            # The backlog has logged it, and the health check fails. Synchronous calls are served as before.
            await asyncio.Event().wait()
        finally:
            for task in self._running.values():
                task.cancel()

    async def _start_due(self) -> None:
        room = max(1, len(self._environments)) - len(self._running)
        if room <= 0:
            return
        for event in await self._backlog.due(time.time(), room, set(self._running)):
            task = asyncio.create_task(self._deliver(event))
            self._running[event.request_id] = task
            task.add_done_callback(partial(self._over, event.request_id))

    def _over(self, request_id: str, task: asyncio.Task[None]) -> None:
        del self._running[request_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, DamagedError):
                self.wake()
                return
            log.error("event %s could not be handled, it will be delivered again: %r", request_id, error)
            # Not at once: probably the disk failed.
            asyncio.get_running_loop().call_later(_AFTER_FAULT_SECONDS, self.wake)
            return
        self.wake()

    async def _pause(self) -> None:
        pause = _LOOK_AGAIN_SECONDS
        if len(self._running) < max(1, len(self._environments)):
            due = await self._backlog.next_due(set(self._running))
            if due is not None:
                pause = min(pause, max(0.01, due - time.time()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._woken.wait()

    async def _deliver(self, event: Event) -> None:
        if time.time() - event.accepted > self._settings.event_age:
            await self._give_up(event, "EventAgeExceeded", None)
            return
        try:
            result = await self._invoker.invoke(event.call())
        except (ThrottledError, LostError) as error:
            event.throttles += 1
            pause = min(2.0 ** (event.throttles - 1), _LONGEST_PAUSE_SECONDS)
            log.info("event %s was not served (%r), again in %g s", event.request_id, error, pause)
            event.due = time.time() + pause
            await self._backlog.postpone(event)
            return
        if result.error is None:
            await self._backlog.remove(event)
            return
        event.failures += 1
        if event.failures > len(self._settings.event_pauses):
            await self._give_up(event, "RetriesExhausted", result)
            return
        event.due = time.time() + self._settings.event_pauses[event.failures - 1]
        await self._backlog.postpone(event)

    async def _give_up(self, event: Event, condition: str, result: Result | None) -> None:
        log.warning("event %s is a dead letter: %s", event.request_id, condition)
        await self._backlog.remove(event, dead_letter(event, condition, result))


def dead_letter(event: Event, condition: str, result: Result | None) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": event.arn if event.arn.endswith(":$LATEST") else f"{event.arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": event.failures,
        },
        "requestPayload": json.loads(event.payload),
    }
    if result is not None:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": result.error,
        }
        record["responsePayload"] = json.loads(result.payload)
    return record
