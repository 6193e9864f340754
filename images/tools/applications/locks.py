"""An application's locks: whether they are up to date, and how uv resolves them.

The first line of a lock holds a digest of what it was resolved from: the application's dependencies, and the library's.
A lock with another digest is out of date. The library itself is in no lock: its code is copied beside the application's.
"""

import hashlib
import json
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from .table import Table

_MARK = "# resolved from "
#: A requirement on the library that allows only some of its versions.
_BOUND = re.compile(r"durable[-_.]lambda\s*(\[[^]]*\])?\s*[<>=!~(@]", re.IGNORECASE)
_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
PYTHON = "3.13"
UV = "/opt/uv/bin/uv"


def name(half: str) -> str:
    return f"requirements-{half}.lock"


def digest(document: Table, half: str, library: Path) -> str:
    """What a lock depends on, in 16 characters."""
    of_library = tomllib.loads((library / "pyproject.toml").read_text(encoding="utf-8"))
    project, theirs = document.get("project", {}), of_library["project"]
    said = [
        half,
        project.get("dependencies", []),
        project.get("requires-python", ""),
        document.get("dependency-groups", {}),
        document.get("tool", {}).get("uv", {}),
        theirs.get("dependencies", []),
        theirs.get("optional-dependencies", {}),
        *_version_if_bound(project.get("dependencies", []), document.get("dependency-groups", {}), library),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _version_if_bound(dependencies: object, groups: object, library: Path) -> list[str]:
    """The library's version, if the application says which versions it takes: then uv has to check it again."""
    if not any(_BOUND.match(text) for text in _texts([dependencies, groups])):
        return []
    return _VERSION.findall((library / "src/durable_lambda/__init__.py").read_text(encoding="utf-8"))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def state(lock: Path, wanted: str) -> str:
    """`fresh`, `stale` or `missing`."""
    if not lock.is_file():
        return "missing"
    with lock.open(encoding="utf-8", errors="replace") as file:
        return "fresh" if file.readline().strip() == _MARK + wanted else "stale"


def resolve(folder: Path, document: Table, library: Path, out: Path, *, upgrade: bool) -> list[str]:
    """Write the locks of both halves into `out`. Returns uv's messages if that fails, else an empty list.

    The versions of locks that lie in `out` already are kept where they still fit, unless `upgrade`.
    """
    with tempfile.TemporaryDirectory() as wheels:
        built = _uv("build", "--quiet", "--wheel", "--no-python-downloads", "--out-dir", wheels, str(library))
        if built:
            return [f"the library in {library} could not be built:\n{built}"]
        failed = []
        for half in ("function", "worker"):
            lock = out / name(half)
            group = ["--group", half] if half in document.get("dependency-groups", {}) else []
            said = _uv(
                "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--no-emit-index-url",
                "--no-python-downloads", "--python-version", PYTHON, "--find-links", wheels,
                "--no-emit-package", "durable-lambda", *group, *(["--upgrade"] if upgrade else []),
                "--output-file", str(lock), "pyproject.toml", folder=folder,
            )  # fmt: skip
            if said:
                failed.append(f"the {half}'s dependencies could not be resolved:\n{said}")
                continue
            lines = [
                line for line in lock.read_text().splitlines(keepends=True) if not line.startswith(_MARK)
            ]
            lock.write_text(f"{_MARK}{digest(document, half, library)}\n" + "".join(lines))
        return failed


def _uv(*arguments: str, folder: Path | None = None) -> str:
    """Run uv. Returns its message if it fails, else an empty text."""
    done = subprocess.run([UV, *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return (
        ""
        if done.returncode == 0
        else (done.stderr or done.stdout or f"uv ended with {done.returncode}").strip()
    )
