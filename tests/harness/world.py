"""The client of a world that misbehaves on order, beside a stack whose worker dies or stands still on order.

The world is a container: outside_world/compose.yaml adds it, misbehaving_servers.py is what it runs.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from harness.stack import Stack

#: Compose files laid over compose.yaml: the world, and a worker that may go there and reads CRASH_FOLDER.
FILES = ["tests/harness/outside_world/compose.yaml"]


class World:
    """The outside: webhooks' receivers, documents, a model's endpoint."""

    #: Where the worker finds it; by https, with a certificate that it trusts, and with one that it does not
    #: (both only where TLS_FOLDER is set).
    inside = "http://world:8099"
    secure = "https://world:8443"
    strange = "https://world:8444"

    def __init__(self, stack: Stack) -> None:
        self._http = httpx.Client(
            base_url=f"http://{stack.compose('port', 'world', '8099').strip()}", timeout=30
        )

    def plan(self, name: str, *meets: str) -> str:
        """What the next calls of `name` meet; returns the name."""
        self._http.put(f"/plan/{name}", content=json.dumps(meets)).raise_for_status()
        return name

    def seen(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get(f"/seen/{name}").json()
        return found

    def hook(self, name: str, *meets: str) -> str:
        """A receiver of webhooks; its URL for the worker."""
        return f"{self.inside}/hook/{self.plan(name, *meets)}"

    def document(self, name: str, content: bytes, media_type: str = "text/plain") -> str:
        self._http.put(
            f"/doc/{name}", content=content, headers={"Content-Type": media_type}
        ).raise_for_status()
        return f"{self.secure}/doc/{name}"


def open_folder(folder: Path) -> Path:
    """The folder, such that the worker's user may write to it: for CRASH_FOLDER."""
    for part in (folder, folder.parent, folder.parent.parent):
        part.chmod(0o777)
    return folder
