"""Runs the execution environment: `python -m sandbox`. Settings: see settings.py."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from shared.environ import SettingError

from . import runtime_api
from .environment import Environment
from .front import Front
from .processes import MB, adopt_orphans, memory_limit
from .settings import Settings

PORT = 8080
#: Needed in addition to the function's own memory: for a full /tmp (which is in memory here), RIE and the supervisor.
_BESIDE_MB = 640
_EXTENSIONS = Path("/opt/extensions")
_STOP_SECONDS = 8.0


class Current:
    """The Runtime API's calls go to whichever generation of the function runs now."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    async def next(self) -> tuple[dict[str, str], bytes]:
        return await self._environment.generation.next()

    async def response(self, request_id: str, body: bytes) -> bool:
        return await self._environment.generation.response(request_id, body)

    async def error(self, request_id: str, body: bytes, error_type: str) -> bool:
        return await self._environment.generation.error(request_id, body, error_type)

    async def init_error(self, body: bytes, error_type: str) -> None:
        await self._environment.generation.init_error(body, error_type)

    def too_large(self, request_id: str) -> None:
        self._environment.generation.too_large(request_id)


def warnings(settings: Settings) -> list[str]:
    """What will not work as the user expects."""
    found = []
    limit, needed = memory_limit(), (settings.memory + _BESIDE_MB) * MB
    if limit is not None and limit < needed:
        found.append(
            f"the container may use {limit // MB} MB, so the function is ended before it reaches LAMBDA_MEMORY_MB="
            f"{settings.memory}; set LAMBDA_MEM_LIMIT={needed // MB}m, or start with make up, which does"
        )
    if _EXTENSIONS.is_dir() and (names := sorted(path.name for path in _EXTENSIONS.iterdir())):
        found.append(f"extensions are not run here: {', '.join(names)} (see docs/decisions/0026)")
    return found


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT; then a running invocation has a few seconds to finish."""
    # A task starts at once, not in the next turn of the event loop: that halves the turns an invocation takes.
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    adopt_orphans()
    environment = Environment(settings)
    environment.prepare()
    inner = await runtime_api.RuntimeApi(Current(environment)).start()
    outer = await Front(environment).start("0.0.0.0", PORT)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    if not await outer.close(_STOP_SECONDS):
        logging.getLogger("sandbox").warning(
            "stopped while an invocation was running, after %g s", _STOP_SECONDS
        )
    await environment.stop()
    await inner.close(0)


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.read(os.environ)
    except SettingError as error:
        sys.stderr.write(f"lambda: {error}\n")
        return 2
    for warning in warnings(settings):
        logging.getLogger("sandbox").warning("%s", warning)
    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
