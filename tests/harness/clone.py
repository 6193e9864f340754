"""A fresh clone of this repository, in which tests run the Makefile's targets as a new user would."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from harness.engine import docker
from harness.machine import ROOT, project_prefix
from harness.stack import PORTS

#: Variables of the surrounding make must not reach the make in the clone.
OUTER = {
    *("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "T", "D", "B", "S", "F", "APP"),
    *("RESONATE_SERVER", "STACK_IMAGES", "LAMBDA_FROM"),
}

#: The longest that a target may take: images are built for the first time, on a busy machine.
LONGEST_SECONDS = 600


class Clone:
    """A clone of this repository with a project name, images and ports of its own."""

    def __init__(self, folder: Path, project: str | None = None) -> None:
        self.folder = folder
        self.project = project or f"{project_prefix()}-itest-{secrets.token_hex(4)}"
        self.settings = dict.fromkeys(PORTS, "0") | {"COMPOSE_PROJECT_NAME": self.project}

    def fill(self) -> None:
        """Copy the files of the work tree as they are now, except those that git ignores."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True, text=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            source = ROOT / name
            if source.is_file():
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    def make(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return self.run("make", *arguments, **settings)

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; its standard error is part of `stdout`."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LONGEST_SECONDS,
        )

    def begin(self, *command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own, whose id is the process's id."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        outer = {name: value for name, value in os.environ.items() if name not in OUTER}
        return outer | self.settings | settings

    def address(self, service: str, port: int) -> str:
        """The port of this machine that a port of the running stack is published on. Raises LookupError if the service
        does not run.
        """
        found = docker(
            "ps", "--quiet", *self._label(), "--filter", f"label=com.docker.compose.service={service}"
        ).split()
        if not found:
            raise LookupError(f"{service} of {self.project} does not run")
        return docker("port", found[0], str(port)).splitlines()[0].strip()

    def api(self) -> httpx.Client:
        """A client of the running stack's HTTP API."""
        return httpx.Client(base_url=f"http://{self.address('gateway', 8080)}", timeout=35)

    def invoke(self, event: object) -> httpx.Response:
        """Invoke the function through the Lambda API, as `curl` does it."""
        address = self.address("gateway", 9000)
        return httpx.post(
            f"http://{address}/2015-03-31/functions/function/invocations", json=event, timeout=60
        )

    def resonate(self, kind: str, **data: object) -> dict[str, Any]:
        """One request to the running stack's Resonate server over its wire; its whole answer. For AUTH=off."""
        head = {"corrId": secrets.token_hex(4), "version": "2026-04-01"}
        body = {"kind": kind, "head": head, "data": data}
        answer: dict[str, Any] = httpx.post(
            f"http://{self.address('server', 8001)}", json=body, timeout=10
        ).json()
        return answer

    def containers(self, service: str | None = None) -> list[str]:
        """Ids of the containers of all services or one, stopped ones included."""
        chosen = ("--filter", f"label=com.docker.compose.service={service}") if service else ()
        return docker("ps", "--all", "--quiet", "--no-trunc", *self._label(), *chosen).split()

    def _label(self) -> tuple[str, str]:
        return "--filter", f"label=com.docker.compose.project={self.project}"

    def leftovers(self) -> str:
        """Containers and volumes of the clone's stack; empty when there are none."""
        name = f"name={self.project}"
        return docker("ps", "--all", "--quiet", "--filter", name) + docker(
            "volume", "ls", "--quiet", "--filter", name
        )

    def remove(self) -> None:
        """Take the clone's stack down with its volumes, and remove the images whose names begin with the project's
        name.
        """
        self.make("reset")
        images = docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{self.project}*/*").split()
        if images:
            subprocess.run(["docker", "image", "rm", "--force", *images], capture_output=True, check=False)


@contextmanager
def cloned(folder: Path, project: str | None = None) -> Iterator[Clone]:
    """A clone in a new folder; its stack is removed at the end. `project`: the project name of another clone to use."""
    clone = Clone(folder, project)
    clone.fill()
    try:
        yield clone
    finally:
        clone.remove()
