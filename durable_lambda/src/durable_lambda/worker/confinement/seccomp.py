"""Limits which system calls a process may make, by a seccomp filter: those that a parser needs, and no others.

https://docs.kernel.org/userspace-api/seccomp_filter.html. A list of what is allowed: sockets, new processes and threads,
ptrace, other processes' limits and priorities are not on it, nor is what a later kernel adds. A call that is not on it
fails with EPERM. To let a parser have threads, add `clone` with CLONE_THREAD, and a bound on their number.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

#: name -> (x86_64, aarch64), from the kernel's unistd.h; None: that machine has no such call.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    # files, as far as Landlock allows
    "openat": (257, 56), "open": (2, None), "close": (3, 57), "read": (0, 63), "write": (1, 64), "readv": (19, 65),
    "writev": (20, 66), "pread64": (17, 67), "pwrite64": (18, 68), "lseek": (8, 62), "ftruncate": (77, 46),
    "fstat": (5, 80), "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17), "getdents64": (217, 61),
    "fadvise64": (221, 223), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214),
    "madvise": (28, 233), "msync": (26, 227), "mincore": (27, 232), "membarrier": (324, 283), "futex": (202, 98),
    # itself
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "uname": (63, 160), "sysinfo": (99, 179), "getrlimit": (97, 163),
    "getrusage": (98, 165), "times": (100, 153), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "set_robust_list": (273, 99), "rseq": (334, 293), "getrandom": (318, 278),
    "exit": (60, 93), "exit_group": (231, 94),
    # time
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None),
}  # fmt: skip
#: Stands for this process's own id.
_OWN = -1
#: name -> its numbers, which argument is looked at, and the values it may have.
_CALLS_WITH: dict[str, tuple[tuple[int, int], int, tuple[int, ...]]] = {
    "kill": ((62, 129), 0, (_OWN,)),
    "tgkill": ((234, 131), 0, (_OWN,)),  # abort()
    "prlimit64": ((302, 261), 0, (0,)),  # its own limits; a limit put on the worker would end it
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. Not F_SETOWN, which sends signals to others.
    "fcntl": ((72, 25), 1, (0, 1, 2, 3, 4, 1030)),
    "ioctl": ((16, 29), 1, (0x5401, 0x5451)),  # TCGETS (isatty), FIOCLEX
}
#: From here on, numbers that no kernel had when this was written. They fail with ENOSYS, as in an older kernel, so that
#: libc uses an older call instead.
_FIRST_UNKNOWN = 463
#: machine -> the column above, AUDIT_ARCH_…, the number of seccomp()
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, …JGE|K, BPF_RET|K
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_…
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def _seccomp(operation: int, argument: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(_MACHINES[os.uname().machine][2])
    if libc.syscall(number, ctypes.c_uint(operation), ctypes.c_uint(0), argument) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def available() -> bool:
    """Whether a filter can be set: the kernel has filters, the container allows them, this module knows the machine."""
    if os.uname().machine not in _MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    try:
        _seccomp(_GET_ACTION_AVAIL, ctypes.byref(ctypes.c_uint32(_ERROR)))
    except OSError:
        return False
    return True


def restrict() -> None:
    """Refuse this process every call that is not listed. It must have no new privileges. Raises OSError."""
    steps = program(os.uname().machine, os.getpid())
    _seccomp(_SET_MODE_FILTER, ctypes.byref(_Program(len(steps) // 8, steps)))


def program(machine: str, own: int) -> bytes:
    """The filter as classic BPF: an array of `struct sock_filter` for the process with the id `own`."""
    column, arch, _ = _MACHINES[machine]
    allow, refuse = _step(_RETURN, _ALLOW), _step(_RETURN, _ERROR | errno.EPERM)
    # Numbers mean other calls to a 32-bit program: none runs here, so one that appears is killed.
    steps = [
        _step(_LOAD, _ARCH),
        _step(_EQUAL, arch, yes=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    for numbers in _CALLS.values():
        if numbers[column] is not None:
            steps += [_step(_EQUAL, numbers[column] or 0, no=1), allow]
    for both, argument, values in _CALLS_WITH.values():
        # Only the low half: the kernel reads no more of these arguments.
        block = [_step(_LOAD, _ARGUMENTS + 8 * argument)]
        for value in values:
            block += [_step(_EQUAL, own if value == _OWN else value, no=1), allow]
        steps += [_step(_EQUAL, both[column], no=len(block) + 1), *block, refuse]
    steps += [_step(_AT_LEAST, _FIRST_UNKNOWN, no=1), _step(_RETURN, _ERROR | errno.ENOSYS), refuse]
    return b"".join(steps)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """struct sock_filter: the operation, how many steps to skip after a comparison, the operand."""
    return struct.pack("=HBBI", code, yes, no, value)
