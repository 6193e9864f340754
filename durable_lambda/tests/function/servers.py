"""A Resonate server in a process of its own: the stack's embedded server if it is installed, otherwise a stand-in."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
IMAGES = HERE.parents[2] / "images"
EMBEDDED_NEEDS = ("httptools", "uvloop", "msgspec", "ada_url", "aiohttp")


class Server:
    """A server at its own address. A test can stop, start and freeze it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        embedded = (IMAGES / "server/embedded_server").is_dir() and all(
            importlib.util.find_spec(name) for name in EMBEDDED_NEEDS
        )
        module = ["-m", "embedded_server"] if embedded else [str(HERE / "stand_in.py"), str(self.port)]
        settings = {
            "PYTHONPATH": os.pathsep.join(map(str, (IMAGES / "server", IMAGES / "base"))) if embedded else "",
            "RESONATE_SERVER__PORT": str(self.port),
            "RESONATE_SERVER__BIND": "127.0.0.1",
            "RESONATE_OBSERVABILITY__METRICS_PORT": "0",
            "RESONATE_STORAGE__SQLITE__PATH": str(self._folder / "resonate.db"),
            "RESONATE_LEVEL": "warn",
        }
        self._process = subprocess.Popen(
            [sys.executable, *module], env={**os.environ, **settings}, cwd=self._folder
        )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            assert self._process.poll() is None, "the server ended while it was starting"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("the server did not start within 30 s")

    def stop(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def signal(self, number: int) -> None:
        """Freeze (SIGSTOP): the server accepts connections and answers nothing. Thaw (SIGCONT): it continues."""
        assert self._process is not None
        self._process.send_signal(number)
