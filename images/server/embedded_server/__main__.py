"""`python -m embedded_server`: serves until SIGTERM or SIGINT."""

import asyncio
import gc
import logging
import os
import signal
import sqlite3
import sys

import uvloop

from shared.doors import Doors
from shared.environ import SettingError

from .api import Api
from .app import App, MetricsApp
from .config import Settings, SettingsError, load
from .cors import Cors
from .delivery import Delivery
from .http import Connection
from .metrics import Metrics
from .patrol import Patrol
from .schema import ForeignFile
from .state.transaction import Outcome
from .store import Store
from .timers import Timers

log = logging.getLogger("embedded_server")

#: After so many ms the server looks again at a task that waits for a polling worker.
AGAIN_MS = 60_000
LEVELS = {"trace": logging.DEBUG, "warn": logging.WARNING, "off": logging.CRITICAL + 1}


def main() -> int:
    """The exit status: 0 after a graceful stop, 1 where the server could not start."""
    try:
        settings = load()
        level = settings.level.lower()
        logging.basicConfig(
            level=LEVELS.get(level, logging.getLevelNamesMapping().get(level.upper(), logging.INFO)),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
            stream=sys.stdout,
        )
        uvloop.run(_serve(settings))
    except sqlite3.Error as error:
        why = " (another server has it open)" if "locked" in str(error) else ""
        path = settings.storage.sqlite.path
        sys.stderr.write(f"Fatal: Failed to open SQLite database {path}: {error}{why}\n")
        return 1
    except (SettingsError, SettingError, ForeignFile, OSError) as error:
        sys.stderr.write(f"Fatal: {error}\n")
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    auth = None
    if settings.auth is not None:
        from .auth import Auth

        auth = Auth(settings.auth)
    metrics = Metrics()
    store = Store(settings.storage.sqlite.path, settings.tasks.retry_timeout)
    if not settings.debug:
        store.tx.again = max(settings.tasks.retry_timeout, AGAIN_MS)
    timers = Timers(store, metrics, settings.timeouts.poll_interval)
    delivery = Delivery(store, metrics, settings.transports, settings.server.url or "")

    def published(outcome: Outcome) -> None:
        delivery.publish(outcome)
        timers.wake(outcome.due)

    store.published = published
    api = Api(store, timers, delivery, metrics, auth, settings.debug)
    doors = Doors.read(os.environ, json_only=True)
    app = App(
        api,
        store,
        delivery,
        auth,
        Cors([*settings.server.cors.allow_origins, *doors.origins]),
        doors,
        settings.transports.http_poll.buffer_size,
    )
    bind, port = settings.server.bind, settings.server.port
    server = await loop.create_server(lambda: Connection(app), bind, port, backlog=1024)
    measured = await _metrics_server(loop, MetricsApp(metrics, doors), settings.observability.metrics_port)
    timers.start()
    delivery.start()
    app.start()
    patrol = Patrol(store)
    patrol.start()
    # The modules are never freed: the garbage collector need not look at them again.
    gc.collect()
    gc.freeze()
    log.info("listening on %s:%d, storing in %s", bind, port, settings.storage.sqlite.path)
    await stop.wait()
    log.info("stopping")
    server.close()
    if measured is not None:
        measured.close()
    timers.stop()
    delivery.stop()
    patrol.stop()
    store.flush()
    app.stop()
    grace = settings.server.shutdown_timeout / 1000
    await delivery.pusher.close(grace)
    until = loop.time() + grace
    while app.connections and loop.time() < until:
        await asyncio.sleep(0.02)
        app.stop()
    store.close()
    log.info("stopped")


async def _metrics_server(
    loop: asyncio.AbstractEventLoop, app: MetricsApp, port: int
) -> asyncio.Server | None:
    if port == 0:
        return None
    try:
        return await loop.create_server(lambda: Connection(app), "0.0.0.0", port)
    except OSError as error:
        log.error("metrics port %d: %s: serving without metrics", port, error)
        return None


if __name__ == "__main__":
    sys.exit(main())
