"""AWS's Lambda Runtime Interface Emulator: one process, its two HTTP faces.

RIE dies on a second request and is not to be trusted after a failure, so each generation of the function
gets a fresh one; it starts in some 10 ms.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp

BINARY = os.environ.get("LAMBDA_RIE_PATH", "/usr/local/bin/aws-lambda-rie")
_INVOKE = "127.0.0.1:8081"
_RUNTIME = "127.0.0.1:9002"
_LAUNCH = Path(__file__).with_name("launch.py")
#: The interpreter itself, not the supervisor's environment of it.
_PYTHON = os.path.realpath(sys.executable)
_START_SECONDS = 5.0
#: RIE's own clock must never end an invocation: ours does, as AWS would.
_NEVER_SECONDS = "86400"


class RieError(Exception):
    """RIE could not be started, or went away. The message says which, with what RIE wrote last."""


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Rie:
    """One running RIE. It starts the function's process (launch.py) at the first invocation."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)

    @classmethod
    async def start(cls, socket_name: str) -> "Rie":
        """Raises RieError."""
        command = [
            *(BINARY, "--log-level", "error"),
            *("--runtime-interface-emulator-address", _INVOKE, "--runtime-api-address", _RUNTIME),
            *(_PYTHON, "-I", "-S", str(_LAUNCH), socket_name),
        ]
        environment = {"PATH": "/usr/bin:/bin", "AWS_LAMBDA_FUNCTION_TIMEOUT": _NEVER_SECONDS}
        # What RIE itself writes repeats, less well, what the supervisor writes: not shown.
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - fork and exec, a millisecond
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        rie = cls(process)
        try:
            async with asyncio.timeout(_START_SECONDS):
                for address in (_INVOKE, _RUNTIME):
                    await rie._listening(address)
        except (TimeoutError, RieError) as error:
            await rie.stop()
            raise RieError(
                str(error) or f"RIE ({BINARY}) did not listen within {_START_SECONDS:g} s"
            ) from None
        return rie

    async def _listening(self, address: str) -> None:
        host, port = address.split(":")
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return
            if self._process.poll() is not None:
                raise RieError(f"RIE ({BINARY}) ended at its start with status {self._process.returncode}")
            await asyncio.sleep(0.003)

    async def _request(self, method: str, url: str, body: bytes | None = None) -> Reply:
        try:
            async with self._session.request(method, url, data=body) as response:
                return Reply(response.status, dict(response.headers), await response.read())
        except aiohttp.ClientError as error:
            raise RieError(f"RIE went away: {error!r}") from error

    async def invoke(self, payload: bytes) -> Reply:
        return await self._request(
            "POST", f"http://{_INVOKE}/2015-03-31/functions/function/invocations", payload
        )

    async def next(self) -> Reply:
        return await self._request("GET", f"http://{_RUNTIME}/2018-06-01/runtime/invocation/next")

    async def answer(self, path: str, body: bytes) -> Reply:
        """Hands on what the function posted: `path` below /2018-06-01/runtime/."""
        return await self._request("POST", f"http://{_RUNTIME}/2018-06-01/runtime/{path}", body)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        self.kill()
        await self._session.close()
