"""AWS's Lambda Runtime Interface Emulator (RIE): its process, and clients for its two HTTP ports.

RIE crashes on a second request while one is running, and is unreliable after a failure. So each generation of the
function gets a new one, which takes about 10 ms to start.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from shared.wire import Client, Response, WireError

BINARY = os.environ.get("LAMBDA_RIE_PATH", "/usr/local/bin/aws-lambda-rie")
_HOST = "127.0.0.1"
_INVOKE, _RUNTIME = 8081, 9002
_PATH = "/2018-06-01/runtime"
_LAUNCH = Path(__file__).with_name("launch.py")
#: The interpreter itself, not the one of the supervisor's virtual environment.
_PYTHON = os.path.realpath(sys.executable)
_START_SECONDS = 5.0
_EXIT = re.compile(rb"Runtime exited with(?:out providing a reason| error: [a-z]+(?: status|:) \w+)")
#: RIE's own time-out must never end an invocation: the supervisor's does.
_NEVER_SECONDS = "86400"


class RieError(Exception):
    """RIE could not be started, or it ended. The message says which."""


class Rie:
    """One running RIE. It starts the function's process (launch.py) at the first invocation."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self._loop = asyncio.get_running_loop()
        self._errors = process.stderr.fileno() if process.stderr else -1
        self._exit: asyncio.Future[str] = self._loop.create_future()
        os.set_blocking(self._errors, False)
        self._loop.add_reader(self._errors, self._read_errors)
        # A call of `next` waits until there is an invocation, so the answers need their own connection.
        self._invoking, self._next, self._answers = (
            Client(_HOST, _INVOKE),
            Client(_HOST, _RUNTIME),
            Client(_HOST, _RUNTIME),
        )

    @classmethod
    async def start(cls, socket_name: str) -> "Rie":
        """Raises RieError."""
        command = [
            *(BINARY, "--log-level", "error"),
            *("--runtime-interface-emulator-address", f"{_HOST}:{_INVOKE}"),
            *("--runtime-api-address", f"{_HOST}:{_RUNTIME}"),
            *(_PYTHON, "-I", "-S", str(_LAUNCH), socket_name),
        ]
        environment = {"PATH": "/usr/bin:/bin", "AWS_LAMBDA_FUNCTION_TIMEOUT": _NEVER_SECONDS}
        # Its standard output repeats what the supervisor logs; of its errors only the exit reason is used.
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - fork and exec, a millisecond
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        rie = cls(process)
        try:
            async with asyncio.timeout(_START_SECONDS):
                for client in (rie._invoking, rie._next, rie._answers):
                    await rie._connected(client)
        except (TimeoutError, RieError) as error:
            rie.stop()
            raise RieError(
                str(error) or f"RIE ({BINARY}) did not listen within {_START_SECONDS:g} s"
            ) from None
        return rie

    def _read_errors(self) -> None:
        """RIE is the parent of the function's process. How that ended it reports only on its standard error."""
        with contextlib.suppress(BlockingIOError):
            words = os.read(self._errors, 65536)
            if not words:
                self._loop.remove_reader(self._errors)
            found = _EXIT.search(words)
            if found and not self._exit.done():
                self._exit.set_result(found[0].decode())

    async def exit_reason(self, seconds: float) -> str | None:
        """How the function's process ended, as RIE reports it within `seconds`; None if it does not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._exit)
        return None

    async def _connected(self, client: Client) -> None:
        while True:
            with contextlib.suppress(OSError):
                await client.open()
                return
            if self._process.poll() is not None:
                raise RieError(f"RIE ({BINARY}) ended at its start with status {self._process.returncode}")
            await asyncio.sleep(0.003)

    async def _request(self, client: Client, method: str, path: str, body: bytes = b"") -> Response:
        try:
            return await client.request(method, path, body)
        except WireError as error:
            raise RieError(f"RIE ended, or closed its connection: {error}") from error

    async def invoke(self, payload: bytes) -> Response:
        return await self._request(
            self._invoking, "POST", "/2015-03-31/functions/function/invocations", payload
        )

    async def next(self) -> Response:
        return await self._request(self._next, "GET", f"{_PATH}/invocation/next")

    async def answer(self, path: str, body: bytes) -> Response:
        """Passes on what the function posted to `path` below /2018-06-01/runtime/."""
        return await self._request(self._answers, "POST", f"{_PATH}/{path}", body)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def stop(self) -> None:
        self.kill()
        self._loop.remove_reader(self._errors)
        if self._process.stderr:
            self._process.stderr.close()
        self._exit.cancel()
        for client in (self._invoking, self._next, self._answers):
            client.close()
