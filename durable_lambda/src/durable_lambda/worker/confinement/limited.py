"""Gives its process the limits of a plan, confines it, and becomes a module of the application. Started by isolation.py.

The plan is JSON: `{"seconds", "memory_mb", "reads": [path…], "writes": [path…]}`.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
from pathlib import Path

from . import close

_MB = 1 << 20
#: What the interpreter and the libraries need besides the modules in sys.path.
_CODE = ("/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom")
#: What a folder of modules must not contain: secrets, processes, and the files of other jobs.
_PRIVATE = tuple(map(Path, ("/run/secrets", "/proc", "/tmp")))  # noqa: S108


def _code() -> list[str]:
    """The folders that modules come from. Not / or /tmp: they are in the path of a worker that was started there."""
    folders = [sys.prefix, sys.base_prefix, *sys.path]
    return [
        folder
        for folder in folders
        if folder.startswith("/") and not any(place.is_relative_to(folder) for place in _PRIVATE)
    ]


def main() -> None:
    plan = json.loads(sys.argv[1])
    seconds, memory = plan["seconds"], plan["memory_mb"] * _MB
    for limit, soft, hard in (
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, 256 * _MB, 256 * _MB),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_NPROC, 0, 0),  # no process and no thread beside this one
    ):
        resource.setrlimit(limit, (soft, hard))
    os.nice(10)  # the worker, which renews the leases, has priority
    # The folder that this package was found in holds more of the library, under names that an application may use.
    sys.path.remove(str(Path(__file__).parents[1]))
    close([*_CODE, *_code(), *plan["reads"]], plan["writes"])
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
