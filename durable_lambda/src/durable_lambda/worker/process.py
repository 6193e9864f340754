"""The worker's process: connects, says that it is well, works until it is told to stop, gives back what it
holds.

Usage: python worker.py
       python worker.py TASK VERSION HOW     (called by alone.py: runs one task and ends)
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from resonate.error import ResonateError
from resonate.retry import Never

import confinement
import log
import workflow
from connections import Client, Inbox, Requests, check_sdk
from contract import OtherSdkError
from leases import Leases
from offers import Offer
from settings import SettingError, Settings, load, model_keys
from tools import Tools

logger = logging.getLogger("worker")

_PR_SET_PDEATHSIG = 1


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = _told_to_stop()
    inbox = Inbox(
        settings.resonate_url,
        pid := uuid.uuid4().hex,
        settings.worker_group,
        auth=settings.resonate_token or None,
    )
    resonate, leases, tools = _assemble(settings, pid, [inbox])
    resonate.start()
    health = asyncio.create_task(_say_healthy(Path(settings.health_file), inbox))
    logger.info(
        "worker started",
        extra={
            "group": settings.worker_group,
            "concurrency": settings.worker_concurrency,
            "pid": os.getpid(),
        },
    )

    # Work that is offered while S3's client is made begins; only a step that needs it waits.
    opened, stopped = asyncio.create_task(tools.storage.open()), asyncio.create_task(stop.wait())
    await asyncio.wait({opened, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if opened.done():
        opened.result()
    await stopped
    # First deaf, so that nothing new comes; then the tasks back, so that another worker goes on at once.
    health.cancel()
    resonate.take_no_more()
    await inbox.stop()
    _, given_back = await asyncio.gather(
        resonate.alone.stop(settings.stop_seconds), _give_back(settings, leases, resonate.taking_up)
    )
    logger.info("worker stopped", extra={"given_back": given_back})
    await tools.close()


async def run_alone(settings: Settings, offer: Offer, how: str) -> None:
    """Run one task, a suspect, in this process: until it waits or is over, or until SIGTERM. See alone.py."""
    stop = _told_to_stop()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # not without the worker that began it
    resonate, leases, tools = _assemble(replace(settings, worker_concurrency=1), uuid.uuid4().hex, [], how)
    resonate.start()
    opened, stopped = asyncio.create_task(tools.storage.open()), asyncio.create_task(stop.wait())
    running = asyncio.create_task(resonate.run_one(offer))
    waited: set[asyncio.Task[Any]] = {opened, running, stopped}
    while not running.done() and not stopped.done():
        done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if opened in done:
            opened.result()
    if not running.done():
        await _give_back(settings, leases, lambda: set() if running.done() else {offer.task_id})
    else:
        with contextlib.suppress(ResonateError):  # which the SDK has logged, and given the task back
            running.result()


def _told_to_stop() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _assemble(
    settings: Settings, pid: str, inboxes: list[Inbox], how: str | None = None
) -> tuple[Client, Leases, Tools]:
    """The SDK's client with our workflow, leases and tools; with `how`, that of a suspect's own process."""
    token = settings.resonate_token or None

    def connect(took: Callable[[float], None] | None = None) -> Requests:
        return Requests(settings.resonate_url, auth=token, took=took)

    leases = Leases(pid, settings.task_ttl_seconds, connect, token, hung=_end)
    resonate = Client(
        network=connect(),
        token=token,
        sources=inboxes,
        group=settings.worker_group,
        pid=pid,
        ttl=timedelta(seconds=settings.task_ttl_seconds),
        leases=leases,
        offer_seconds=settings.task_retry_ms / 1000,
        max_concurrent_tasks=settings.worker_concurrency,
        task_tries=settings.task_tries,
        how=how,
        retry_policy=Never(),  # steps are retried in durable.py, where a retry is on record
        subscription_refresh_secs=0,
        autostart=False,
    )
    leases.bind(resonate.takings)
    tools = Tools(settings)
    tools.promises = resonate.promises
    tools.refusal = resonate.takings.refusal
    resonate.with_dependency(tools)
    workflow.register(resonate)
    return resonate, leases, tools


async def _give_back(settings: Settings, leases: Leases, taking_up: Callable[[], set[str]]) -> int:
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(leases.give_back(taking_up), settings.stop_seconds)
    return 0


def _end() -> None:
    """End a worker that hangs, as by a crash: it is started again, and what hung it is a suspect (takings.py)."""
    logger.error("the worker hangs: it ends, and says where every thread stands")
    faulthandler.dump_traceback(all_threads=True)
    logging.shutdown()
    os._exit(3)


async def _say_healthy(file: Path, inbox: Inbox) -> None:
    """Touch the health file each second while the server can reach this worker and the loop turns."""
    while True:
        if inbox.connected:
            file.touch()  # noqa: ASYNC240 - in memory
        else:
            file.unlink(missing_ok=True)  # noqa: ASYNC240
        await asyncio.sleep(1)


def _check_isolation(settings: Settings) -> None:
    """Say what the reader's process is not closed off from. Raises :class:`SettingError` where that is required."""
    for gap in confinement.missing():
        if settings.reader_isolation == "required":
            raise SettingError(f"READER_ISOLATION=required cannot be kept. {gap}")
        logger.warning("the reader's process is not wholly closed in", extra={"missing": gap})


def main() -> None:
    log.configure()
    faulthandler.enable()  # of a crash in a library's C code, where in ours it was called
    if sys.argv[1:]:
        with contextlib.suppress(OSError):  # where memory runs out, a suspect goes first
            Path("/proc/self/oom_score_adj").write_text("500")
    # What the environment and memory hold, keys among them, is nobody else's from here on.
    confinement.hide()
    try:
        check_sdk()
        settings = load()
        _check_isolation(settings)
        for name, value in model_keys().items():
            os.environ.setdefault(name, value)
    except (SettingError, OtherSdkError) as error:
        sys.exit(f"worker: {error}")
    match sys.argv[1:]:
        case [task, version, how]:
            asyncio.run(run_alone(settings, Offer(task, int(version)), how))
        case _:
            asyncio.run(run(settings))
    # Whatever a step still does in a thread is no longer ours: its lease is another worker's.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
