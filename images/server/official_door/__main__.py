"""`python -m official_door COMMAND…`: runs the official server behind its doors, and ends with its exit status."""

import asyncio
import json
import os
import signal
import sys

from shared.doors import Doors
from shared.environ import SettingError

from .proxy import listen

PORT, METRICS_PORT = 8001, 9090
#: Where the server itself listens: on loopback. It has no setting for its metrics' address.
INNER_PORT, INNER_METRICS_PORT = 8002, 9091


async def serve(doors: Doors, command: list[str]) -> int:
    """The server's exit status. Raises OSError."""
    environ = os.environ | {
        "RESONATE_SERVER__BIND": "127.0.0.1",
        "RESONATE_SERVER__PORT": str(INNER_PORT),
        "RESONATE_OBSERVABILITY__METRICS_PORT": str(INNER_METRICS_PORT),
    }
    if doors.origins:
        # So that the server sends the headers that let those pages read its answers.
        environ.setdefault("RESONATE_SERVER__CORS__ALLOW_ORIGINS", json.dumps(sorted(doors.origins)))
    listening = [await listen(doors, PORT, INNER_PORT), await listen(doors, METRICS_PORT, INNER_METRICS_PORT)]
    server = await asyncio.create_subprocess_exec(*command, env=environ)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.terminate)
    status = await server.wait()
    for door in listening:
        door.close()
    return status if status >= 0 else 128 - status


def main() -> int:
    try:
        doors = Doors.read(os.environ, json_only=True)
        return asyncio.run(serve(doors, sys.argv[1:]))
    except (SettingError, OSError) as error:
        sys.stderr.write(f"server: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
