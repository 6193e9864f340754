"""The client of `world`, a container whose servers misbehave when a test asks for it, beside a stack whose worker dies
or stops when a test asks for it.

outside_world/compose.yaml adds the container, and misbehaving_servers.py runs in it.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from harness.stack import Stack

#: Compose files merged over compose.yaml: they add the world, and a worker that may reach it and reads CRASH_FOLDER.
FILES = ["tests/harness/outside_world/compose.yaml"]


class World:
    """The outside: webhooks' receivers, documents, a model's endpoint."""

    #: The addresses for the worker: http, https with a certificate that it trusts, and https with one that it does not
    #: trust (both https addresses work only if TLS_FOLDER is set).
    inside = "http://world:8099"
    secure = "https://world:8443"
    strange = "https://world:8444"

    def __init__(self, stack: Stack) -> None:
        self._http = httpx.Client(
            base_url=f"http://{stack.compose('port', 'world', '8099').strip()}", timeout=30
        )

    def plan(self, name: str, *meets: str) -> str:
        """Set what happens to the next calls of `name`; returns the name."""
        self._http.put(f"/plan/{name}", content=json.dumps(meets)).raise_for_status()
        return name

    def seen(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get(f"/seen/{name}").json()
        return found

    def hook(self, name: str, *meets: str) -> str:
        """A webhook receiver; returns its URL for the worker."""
        return f"{self.inside}/hook/{self.plan(name, *meets)}"

    def document(self, name: str, content: bytes, media_type: str = "text/plain") -> str:
        self._http.put(
            f"/doc/{name}", content=content, headers={"Content-Type": media_type}
        ).raise_for_status()
        return f"{self.secure}/doc/{name}"


def open_folder(folder: Path) -> Path:
    """Make the folder writable for the worker's user; used for CRASH_FOLDER."""
    for part in (folder, folder.parent, folder.parent.parent):
        part.chmod(0o777)
    return folder
