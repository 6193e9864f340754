"""Closes a process in that reads a hostile file: it may read its code and that file, compute, and write its answer.

By two means of the Linux kernel, which a process without rights in a container without capabilities may use as well:
`landlock` for files, `seccomp` for everything else. This package needs the standard library alone and imports nothing
of the rest of `durable_lambda`: it is started for each file, as `python -m confinement` with its parent folder on the path.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from . import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL = 9


def missing() -> list[str]:
    """What this kernel cannot close, a sentence each."""
    found = []
    if not landlock.version():
        found.append(
            "The kernel has no Landlock: a process that reads a document can open every file that the worker can, "
            "/run/secrets and the environment of the container's first process included."
        )
    if not seccomp.available():
        found.append(
            "The kernel has no seccomp filter for this machine: a process that reads a document can open sockets, "
            "start processes and use ptrace."
        )
    return found


def hide() -> None:
    """Close this process's environment, memory and descriptors in /proc to other processes of its user; no core dumps.

    Its files in /proc belong to root from then on: it can read its own `fd`, not its own `environ`. A program that it
    starts is not hidden.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def close(reads: Iterable[str], writes: Iterable[str]) -> None:
    """Close this process in for good: it may open `reads` (a folder: all below it) and write to `writes`.

    What the kernel lacks is left out (see :func:`missing`). Raises OSError where it has it and refuses.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # it ends with the worker, however that dies
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    hide()
    if landlock.version():
        landlock.restrict(reads, writes)
    if seccomp.available():
        seccomp.restrict()  # last: it allows neither Landlock nor itself
