"""Usage: python -m limited PLAN MODULE ARG…     (called by isolation.py)

PLAN is JSON: `{"seconds", "memory_mb", "reads": [path…], "writes": [path…]}`. Gives itself these limits, closes itself
in (confinement), then becomes MODULE. The worker, which renews the leases, goes before it.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
from pathlib import Path

import confinement

_MB = 1 << 20
#: What the interpreter and the parsers' libraries need beside the modules in sys.path.
_CODE = ("/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom")


def _code() -> list[str]:
    """Where modules come from. Not what holds more than modules, as / does for a worker that is started from there."""
    home = Path(__file__).parent
    folders = [sys.prefix, sys.base_prefix, *sys.path]
    return [folder for folder in folders if folder.startswith("/") and Path(folder) not in home.parents]


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
    os.nice(10)
    confinement.close([*_CODE, *_code(), *plan["reads"]], plan["writes"])
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
