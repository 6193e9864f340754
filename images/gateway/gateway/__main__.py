"""Runs both servers: `python -m gateway`. Settings: see settings.py."""

import asyncio
import logging
import os
import signal
import sys

from aiohttp import web

from shared.environ import SettingError
from shared.sigv4 import KeysError, read_keys

from . import routes
from .backlog import Backlog
from .delivery import Delivery
from .environments import Environments
from .http_api import HEADER_BYTES, HttpApi
from .invoker import Invoker
from .lambda_api import LambdaApi
from .settings import Settings
from .signatures import Signatures

HTTP_PORT, LAMBDA_PORT = 8080, 9000
#: How long running requests have to finish; Compose kills the container after its stop_grace_period.
_STOP_SECONDS = 8.0


async def serve(settings: Settings, table: routes.Routes) -> None:
    """Runs until SIGTERM or SIGINT; then it takes no new connection, and running requests may finish."""
    # A task starts at once, not in the next turn of the event loop.
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    signatures = Signatures(read_keys(settings.aws_keys), settings.region) if settings.authorizer else None
    backlog = Backlog(settings.data)
    environments = Environments(settings.host, settings.port)
    invoker = Invoker(environments, settings.burst)
    delivery = Delivery(settings, backlog, invoker, environments)
    doors = [
        (HttpApi(settings, table, invoker).application(), HTTP_PORT),
        (
            LambdaApi(settings, invoker, environments, backlog, delivery, signatures).application(),
            LAMBDA_PORT,
        ),
    ]
    runners = []
    for application, port in doors:
        runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=_STOP_SECONDS,
            # Larger headers than HEADER_BYTES are refused by HttpApi, as API Gateway does; this only limits the parser.
            max_line_size=8 * HEADER_BYTES,
            max_field_size=8 * HEADER_BYTES,
            # The function gets a compressed body as it came.
            auto_decompress=False,
        )
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port, backlog=1024).start()
        runners.append(runner)
    background = [asyncio.create_task(environments.watch()), asyncio.create_task(delivery.run())]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *background], return_when=asyncio.FIRST_COMPLETED)
    try:
        async with asyncio.timeout(_STOP_SECONDS + 1):
            background[1].cancel()
            await asyncio.gather(*(runner.cleanup() for runner in runners))
            background[0].cancel()
            await invoker.close()
    except TimeoutError:
        logging.getLogger("gateway").warning(
            "stopped while requests were running, after %g s", _STOP_SECONDS + 1
        )
    await backlog.close()
    for task in background:
        if task.done() and not task.cancelled():
            task.result()


def main() -> int:
    level = os.environ.get("GATEWAY_LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.read(os.environ)
        table = routes.read(settings.openapi, settings.authorizer)
        asyncio.run(serve(settings, table))
    except (SettingError, KeysError, routes.SpecificationError, OSError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
