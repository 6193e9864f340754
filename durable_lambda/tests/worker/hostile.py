"""Hostile code that takes the place of the process that reads a document: it tries every way out and reports which ones
are open.

Usage: python -m hostile TARGETS     TARGETS: JSON, see `main`; writes `{door: "open" or the error}` as JSON to stdout

Standard library only: it runs inside the worker's image.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
#: System calls that a parser never needs and that exploits have used to escape from a process: (x86_64, aarch64).
CALLS = {
    "pidfd_open": (434, 434), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "io_uring_setup": (425, 425), "mount": (165, 40), "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51),
    "memfd_create": (319, 279), "shmget": (29, 194), "msgget": (68, 186), "mq_open": (240, 180),
    "inotify_init1": (294, 26), "ptrace_traceme": (101, 117), "personality": (135, 92), "kcmp": (312, 272),
    "setpriority": (141, 140), "timer_create": (222, 107), "clone3": (435, 435), "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265), "landlock_create_ruleset": (444, 444), "unknown": (999, 999),
}  # fmt: skip


def called(number: int, *arguments: int) -> None:
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def tried(door: Callable[[], Any]) -> str:
    """Returns `open` or the error. A call counts as open if the kernel examined its nonsense arguments."""
    try:
        door()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except RuntimeError as error:  # Python's error when a thread cannot be started
        return str(error)
    return "open"


def read(path: str) -> Callable[[], Any]:
    return lambda: Path(path).open("rb").close()  # the kernel checks permissions here


def connect(family: int, kind: int, address: Any) -> Callable[[], Any]:
    def door() -> None:
        with socket.socket(family, kind) as line:
            line.settimeout(3)
            if kind == socket.SOCK_DGRAM:
                line.sendto(b"\0" * 12, address)
            else:
                line.connect(address)

    return door


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def seize(pid: int) -> Callable[[], Any]:
    def door() -> None:
        libc.ptrace.argtypes = [ctypes.c_long] * 4
        if libc.ptrace(0x4206, pid, 0, 0) != 0:  # PTRACE_SEIZE; it is undone when this process ends
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    return door


def descriptors() -> list[int]:
    """The open file descriptors other than stdin, stdout and stderr."""
    found = []
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.fstat(number)
            found.append(number)
    return found


def main(targets: dict[str, Any]) -> dict[str, Any]:
    """TARGETS: `files` to read, `pids` to attack, `tcp` and `udp` addresses to reach, and the `answer` file that may be
    written.
    """
    doors: dict[str, Callable[[], Any]] = {}
    for path in targets["files"]:
        doors[f"read {path}"] = read(path)
    for pid in targets["pids"]:
        for name in ("environ", "mem", "maps", "cmdline"):
            doors[f"/proc/{pid}/{name}"] = read(f"/proc/{pid}/{name}")
        doors[f"/proc/{pid}/fd"] = partial(os.listdir, f"/proc/{pid}/fd")
        doors[f"ptrace {pid}"] = seize(pid)
        doors[f"kill {pid}"] = partial(os.kill, pid, 0)
        doors[f"prlimit {pid}"] = partial(resource.prlimit, pid, resource.RLIMIT_CPU)
        doors[f"affinity {pid}"] = partial(os.sched_setaffinity, pid, os.sched_getaffinity(0))
        doors[f"nice {pid}"] = partial(os.getpriority, os.PRIO_PROCESS, pid)
    doors["kill all"] = lambda: os.kill(-1, 0)
    doors["kill group"] = lambda: os.killpg(0, 0)
    for host, port in targets["tcp"]:
        doors[f"tcp {host}:{port}"] = connect(socket.AF_INET, socket.SOCK_STREAM, (host, port))
    for host, port in targets["udp"]:
        doors[f"udp {host}:{port}"] = connect(socket.AF_INET, socket.SOCK_DGRAM, (host, port))
    for name in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_ALG", "AF_VSOCK"):
        family = getattr(socket, name)
        kind = socket.SOCK_SEQPACKET if name == "AF_ALG" else socket.SOCK_STREAM
        kind = socket.SOCK_RAW if name == "AF_NETLINK" else kind
        doors[name] = partial(socket.socket, family, kind)
    doors["socketpair"] = socket.socketpair
    answer = Path(targets["answer"])
    for path in (answer.with_name("beside"), Path("/tmp/outside"), Path("/dev/shm/outside")):  # noqa: S108 - hostile
        doors[f"write {path}"] = partial(path.write_bytes, b"x")
    doors["symlink"] = lambda: answer.with_name("symlink").symlink_to("/etc/passwd")
    doors["link"] = lambda: answer.with_name("link").hardlink_to(answer)
    doors["mkdir"] = lambda: answer.with_name("folder").mkdir()
    doors["mkfifo"] = lambda: os.mkfifo(answer.with_name("pipe"))
    doors["chmod"] = lambda: answer.chmod(0o666)
    doors["utime"] = lambda: os.utime(answer)
    doors["list /tmp"] = partial(os.listdir, "/tmp")  # noqa: S108 - hostile
    doors["list /"] = partial(os.listdir, "/")
    doors["fork"] = fork
    doors["exec"] = lambda: subprocess.run(["/bin/true"], check=False)
    doors["execve"] = lambda: os.execv("/nothing", ["nothing"])  # noqa: S606 - hostile
    doors["thread"] = lambda: threading.Thread(target=int).start()
    doors["dumpable"] = lambda: called(157 if X86 else 167, 4, 1, 0, 0, 0)
    doors["sigio"] = lambda: fcntl.fcntl(1, fcntl.F_SETOWN, targets["pids"][0])
    for name, numbers in CALLS.items():
        arguments = (-1, 0, 0, 0, 0, 0)
        doors[f"call {name}"] = partial(called, numbers[0 if X86 else 1], *arguments)
    found: dict[str, Any] = {name: tried(door) for name, door in doors.items()}
    # These come last: if they are open, they destroy the answer's file.
    found["rename"] = tried(lambda: answer.rename(answer.with_name("renamed")))
    found["unlink"] = tried(answer.with_name("renamed").unlink)
    found["answer"] = tried(lambda: answer.write_text("written"))
    found["descriptors"] = descriptors()
    found["environ"] = sorted(os.environ)
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print(json.dumps(main(json.loads(sys.argv[1]))))  # noqa: T201 - the answer
