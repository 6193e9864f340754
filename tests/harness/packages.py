"""The contents of a package that `make package` made, and of the container in which it was unpacked."""

import hashlib
import zipfile
from pathlib import Path

from harness.engine import docker


def digests(package: Path) -> dict[str, str]:
    """The SHA-256 of each file in a zip."""
    with zipfile.ZipFile(package) as archive:
        return {entry: hashlib.sha256(archive.read(entry)).hexdigest() for entry in archive.namelist()}


def unpacked(container: str, folder: str) -> dict[str, str]:
    """The SHA-256 of each file below a folder of the container, without bytecode."""
    said = docker(
        "exec", container, "sh", "-c",
        # (RIE's marker in /opt is the environment's own)
        f"cd {folder} && find . -type f ! -name '*.pyc' ! -name 'disable-extensions-*' -print0 | xargs -0 sha256sum",
    )  # fmt: skip
    return {line[66:].removeprefix("./"): line[:64] for line in said.splitlines()}
