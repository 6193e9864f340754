"""Confines a process that reads a hostile file: it may read its code and that file, compute, and write its answer.

It uses two features of the Linux kernel that need no privileges and no capabilities: `landlock` for files, `seccomp` for
everything else. This package needs the standard library alone and imports nothing of the rest of `durable_lambda`: it is
started for each file, as `python -m confinement` with its parent folder on the path.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from . import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL = 9


def missing() -> list[str]:
    """What this kernel cannot prevent, one sentence for each."""
    found = []
    if not landlock.version():
        found.append(
            "The kernel has no Landlock: a process that reads a document can open every file that the worker can, "
            "including /run/secrets and the environment of the container's first process."
        )
    if not seccomp.available():
        found.append(
            "The kernel has no seccomp filter for this machine: a process that reads a document can open sockets, "
            "start processes and use ptrace."
        )
    return found


def hide() -> None:
    """Hide this process's environment, memory and descriptors in /proc from other processes of its user; no core dumps.

    Its files in /proc belong to root from then on: it can read its own `fd`, not its own `environ`. A program that it
    starts is not hidden.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def close(reads: Iterable[str], writes: Iterable[str]) -> None:
    """Confine this process for good: it may open `reads` (a folder: all below it) and write to `writes`.

    Features that the kernel lacks are not used (see :func:`missing`). Raises OSError if a feature is there and fails.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # it ends with the worker, however that dies
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    hide()
    if landlock.version():
        landlock.restrict(reads, writes)
    if seccomp.available():
        seccomp.restrict()  # last: it allows neither Landlock nor itself
