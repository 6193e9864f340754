"""The worker's process: it connects, works until it is told to stop, and gives back what it holds.

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
from datetime import timedelta
from pathlib import Path
from typing import Any

from resonate.error import ResonateError
from resonate.resonate import Resonate
from resonate.retry import Never

from durable_lambda.application import NoApplicationError, application
from durable_lambda.worker import confinement, health, log
from durable_lambda.worker.connections import Client, Inbox, Requests
from durable_lambda.worker.leases import Leases
from durable_lambda.worker.offers import Offer
from durable_lambda.worker.settings import SettingError, Settings, load
from durable_lambda.worker.tools import Tools, provide

logger = logging.getLogger("worker")

#: Makes a workflow's functions known to the SDK under the names that promises carry.
type Register = Callable[[Resonate], object]

_PR_SET_PDEATHSIG = 1


def run(
    register: Register, *, settings: type[Settings] = Settings, tools: Callable[[Any], Tools] = Tools
) -> None:
    """Be the worker of an application, until SIGTERM or SIGINT. Ends the process.

    `settings` is the application's class of settings. `tools` makes from them the object that each step is given.
    """
    log.configure()
    faulthandler.enable()  # for a crash in a library's C code: where in Python it was called
    arguments = sys.argv[1:]
    if len(arguments) not in (0, 3):
        sys.exit("Usage: python worker.py")
    if arguments:
        with contextlib.suppress(OSError):  # if memory runs out, the kernel kills a suspect first
            Path("/proc/self/oom_score_adj").write_text("500")
    # Other processes of this user, such as readers of hostile files, must not see this process's environment and memory:
    # both hold keys.
    confinement.hide()
    try:
        application()
        found = load(settings)
        if not arguments:
            health.make(Path(found.health_file))
        made = tools(found)
    except (NoApplicationError, SettingError) as error:
        sys.exit(f"worker: {error}")
    if arguments:
        task, version, how = arguments
        asyncio.run(work_alone(register, found, made, Offer(task, int(version)), how))
    else:
        asyncio.run(work(register, found, made))
    # A step may still be running in a thread. Do not wait for it: another worker has its task by now.
    logging.shutdown()
    os._exit(0)


async def work(register: Register, settings: Settings, tools: Tools) -> None:
    """Take up tasks until SIGTERM or SIGINT."""
    stop = _told_to_stop()
    pid = uuid.uuid4().hex
    inbox = Inbox(settings.resonate_url, pid, settings.worker_group, auth=settings.token)
    resonate, leases = _client(register, settings, tools, pid, [inbox])
    resonate.start()
    healthy = asyncio.create_task(health.report(Path(settings.health_file), inbox))
    logger.info(
        "worker started",
        extra={
            "group": settings.worker_group,
            "concurrency": settings.worker_concurrency,
            "pid": os.getpid(),
        },
    )

    # Jobs begin while the tools are opened; only a step that needs what is being opened waits.
    opened, stopped = asyncio.create_task(tools.open()), asyncio.create_task(stop.wait())
    await asyncio.wait({opened, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if opened.done():
        opened.result()
    await stopped
    # First take no more, then give the tasks back, so that another worker goes on at once.
    healthy.cancel()
    resonate.take_no_more()
    await inbox.stop()
    _, given_back = await asyncio.gather(
        resonate.alone.stop(settings.stop_seconds), _give_back(settings, leases, resonate.taking_up)
    )
    logger.info("worker stopped", extra={"given_back": given_back})
    await tools.close()


async def work_alone(register: Register, settings: Settings, tools: Tools, offer: Offer, how: str) -> None:
    """Run one task, a suspect, in this process: until it waits or is over, or until SIGTERM. See alone.py."""
    stop = _told_to_stop()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # ends with the worker that started it
    one = settings.model_copy(update={"worker_concurrency": 1})
    resonate, leases = _client(register, one, tools, uuid.uuid4().hex, [], how)
    resonate.start()
    opened, stopped = asyncio.create_task(tools.open()), asyncio.create_task(stop.wait())
    running = asyncio.create_task(resonate.run_one(offer))
    waited: set[asyncio.Task[Any]] = {opened, running, stopped}
    while not running.done() and not stopped.done():
        done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if opened in done:
            opened.result()
    if not running.done():
        await _give_back(settings, leases, lambda: set() if running.done() else {offer.task_id})
    else:
        with contextlib.suppress(ResonateError):  # the SDK has logged it, and given the task back
            running.result()


def _told_to_stop() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _client(
    register: Register,
    settings: Settings,
    tools: Tools,
    pid: str,
    inboxes: list[Inbox],
    how: str | None = None,
) -> tuple[Client, Leases]:
    """The SDK's client with the application's workflow and tools; with `how`, that of a suspect's own process."""

    def connect(took: Callable[[float], None] | None = None) -> Requests:
        return Requests(settings.resonate_url, auth=settings.token, took=took)

    leases = Leases(pid, settings.task_ttl_seconds, connect, settings.token, hung=_end)
    resonate = Client(
        network=connect(),
        token=settings.token,
        sources=inboxes,
        group=settings.worker_group,
        pid=pid,
        ttl=timedelta(seconds=settings.task_ttl_seconds),
        leases=leases,
        offer_seconds=settings.task_retry_ms / 1000,
        max_concurrent_tasks=settings.worker_concurrency,
        task_tries=settings.task_tries,
        how=how,
        retry_policy=Never(),  # steps are retried in durable.py, which records each try
        subscription_refresh_secs=0,
        autostart=False,
    )
    leases.bind(resonate.takings)
    tools.promises = resonate.promises
    tools.refusal = resonate.takings.refusal
    provide(resonate, tools)
    register(resonate)
    return resonate, leases


async def _give_back(settings: Settings, leases: Leases, taking_up: Callable[[], set[str]]) -> int:
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(leases.give_back(taking_up), settings.stop_seconds)
    return 0


def _end() -> None:
    """End a worker that hangs, as a crash would: it is started again, and the task that hung it is a suspect."""
    logger.error("the worker hangs: it ends, and prints where every thread stands")
    faulthandler.dump_traceback(all_threads=True)
    logging.shutdown()
    os._exit(3)
