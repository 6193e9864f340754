"""The worker's process: connects, says that it is well, works until it is told to stop, gives back what it
holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from resonate.retry import Never

import confinement
import log
import workflow
from connections import Client, Inbox, OtherSdkError, Requests, check_sdk
from leases import Leases
from settings import SettingError, Settings, load, model_keys
from tools import Tools

logger = logging.getLogger("worker")


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    pid = uuid.uuid4().hex
    token = settings.resonate_token or None

    def connect(took: Callable[[float], None] | None = None) -> Requests:
        return Requests(settings.resonate_url, auth=token, took=took)

    leases = Leases(pid, settings.task_ttl_seconds, connect, token)
    inbox = Inbox(
        settings.resonate_url,
        pid,
        settings.worker_group,
        auth=token,
    )
    resonate = Client(
        network=connect(),
        token=token,
        sources=[inbox],
        group=settings.worker_group,
        pid=pid,
        ttl=timedelta(seconds=settings.task_ttl_seconds),
        leases=leases,
        offer_seconds=settings.task_retry_ms / 1000,
        max_concurrent_tasks=settings.worker_concurrency,
        retry_policy=Never(),  # steps are retried in durable.py, where a retry is on record
        subscription_refresh_secs=0,
        autostart=False,
    )
    leases.bind(resonate.promises.sender)
    tools = Tools(settings)
    tools.promises = resonate.promises
    resonate.with_dependency(tools)
    workflow.register(resonate)
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
    given_back = 0
    with contextlib.suppress(TimeoutError):
        given_back = await asyncio.wait_for(leases.give_back(resonate.taking_up), settings.stop_seconds)
    logger.info("worker stopped", extra={"given_back": given_back})
    await tools.close()


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
    asyncio.run(run(settings))
    # Whatever a step still does in a thread is no longer ours: its lease is another worker's.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
