"""Usage: python -m limited SECONDS MEMORY_MB MODULE ARG…     (called by isolation.py)

Gives itself limits, then becomes MODULE. What it cannot do any more: more processor time, more memory, files
over 256 MB, core dumps, new programs' extra rights. The worker, which renews the leases, goes before it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import runpy
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SIGKILL = 9


def main() -> None:
    seconds, memory_mb, module = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)  # gone with the worker, however that dies
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    sys.argv = sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
