"""Limits which files a process may open, by Landlock; with newer kernels, also no TCP and no signals to other processes.

https://docs.kernel.org/userspace-api/landlock.html. A rule on a folder applies to everything below it, whatever path is
used. The process can still find out whether a file exists.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

# The same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_NET = 0b11  # bind and connect by TCP
_SCOPE = 0b11  # abstract Unix sockets, signals


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


def version() -> int:
    """The version of Landlock's interface; 0 if the kernel has no Landlock, or the container's filter refuses it."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError:
        return 0


def _file_rights(abi: int) -> int:
    """Every right on files that this version can refuse: 13 in the first, one more in versions 2, 3 and 5."""
    return (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1


def restrict(reads: Iterable[str], writes: Iterable[str]) -> None:
    """Let this process open these files only. Raises OSError."""
    abi = version()
    handled = _file_rights(abi)
    # Each version has its own fields: files; from 4 on the network; from 6 on scopes.
    fields = [handled, *([_NET] if abi >= 4 else []), *([_SCOPE] if abi >= 6 else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for path in reads:
            _allow(rules, path, handled & (_READ_FILE | _READ_DIR | _EXECUTE))
        for path in writes:
            _allow(rules, path, handled & (_READ_FILE | _WRITE_FILE | _TRUNCATE))
        _call(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # nothing to allow
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= ~_READ_DIR
        rule = struct.pack("=Qi", rights, place)
        _call(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(place)
