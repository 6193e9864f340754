"""A fresh clone of this repository, and the Makefile's verbs as a newcomer runs them there."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from harness.stack import PORTS, ROOT, docker, project_prefix

#: What the make around us was given is not for the one in the clone.
OUTER = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "T", "D", "B", "S", "F", "RESONATE_SERVER"}


class Clone:
    """A clone of this repository with a stack of its own name on any free ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = f"{project_prefix()}-itest-{secrets.token_hex(4)}"
        self.settings = dict.fromkeys(PORTS, "0") | {"COMPOSE_PROJECT_NAME": self.project}

    def fill(self) -> None:
        """Copy the work tree's files as they are now, without what git ignores."""
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
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=280,
        )

    def begin(self, *command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own, which is named by the process's id."""
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

    def leftovers(self) -> str:
        name = f"name={self.project}"
        return docker("ps", "--all", "--quiet", "--filter", name) + docker(
            "volume", "ls", "--quiet", "--filter", name
        )
