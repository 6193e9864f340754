"""The function's processes: stop, continue, kill, measure. Linux /proc and signals; no privileges needed.

The function's main process leads a process group; what it starts is usually in that group, and is found
through /proc where it is not. The supervisor is the "subreaper" of the container: orphans become its
children, so the function's processes are all our descendants but RIE.
"""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 2**20
_PROC = "/proc"
#: Up to so many new process ids are checked one by one; for more, reading the whole of /proc is cheaper.
_FEW = 8


def adopt_orphans() -> None:
    """Makes this process the parent of every orphan below it (prctl, see prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Collects every child that has ended, so that no zombie stays."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _pids() -> set[int]:
    return {int(name) for name in os.listdir(_PROC) if name.isdigit()}  # noqa: PTH208 - three times cheaper than iterdir


def _parent(pid: int) -> int:
    """0 if the process is gone."""
    try:
        stat = Path(f"{_PROC}/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def descendants(root: int) -> set[int]:
    parents = {pid: _parent(pid) for pid in _pids()}
    found: set[int] = set()
    layer = {root}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer} - found
        found |= layer
    return found


class _File:
    """A file of /proc that stays open: opening it costs more than reading it."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Empty once its process is gone."""
        try:
            return os.pread(self._descriptor, 4096, 0)
        except OSError:
            return b""

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Processes:
    """A function's main process and everything that it starts."""

    def __init__(self, main: int, rie: int) -> None:
        """Raises OSError if there is no such process."""
        self.main = main
        self._known = {1, os.getpid(), rie, main}
        #: Becomes readable when the main process ends; that is RIE's child, not ours.
        self.pidfd = os.pidfd_open(main)
        self._status = _File(f"{_PROC}/{main}/status")
        self._load = _File(f"{_PROC}/loadavg")
        #: The newest id in the container when the last full scan found no unknown process; 0: it found some.
        self._alone = 0
        self.peak = 0

    def _others(self) -> set[int]:
        """The function's processes but the main one. The usual case, none, costs one read and a look or two."""
        # The last field is the newest id, of a process or a thread, in the container.
        newest = int(self._load.read().rpartition(b" ")[2] or 0)
        new = range(self._alone + 1, newest + 1)
        # The runtime starts a thread for each invocation.
        alone = 0 < self._alone <= newest and len(new) < _FEW and all(map(self._thread, new))
        if not alone and not _pids() <= self._known:
            self._alone = 0
            return descendants(os.getpid()) - self._known
        self._alone = newest
        return set()

    def _thread(self, number: int) -> bool:
        return os.path.exists(f"{_PROC}/{self.main}/task/{number}")  # noqa: PTH110 - half of Path's cost

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.main, number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.main, number)

    def _signal_all(self, number: signal.Signals) -> None:
        self._signal(number)
        done: set[int] = set()
        # A process may fork while we look: again until nothing new is found (a fork bomb ends at the pids
        # limit).
        for _ in range(20):
            new = self._others() - done
            if not new:
                return
            for pid in new:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            done |= new

    def freeze(self) -> None:
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def kill(self) -> None:
        self._signal_all(signal.SIGKILL)

    def measure(self) -> int:
        """Resident memory of all processes now, in bytes; the peak is kept."""
        total = self._kilobytes(b"VmRSS:") * 1024 + sum(_resident(pid) for pid in self._others())
        self.peak = max(self.peak, total)
        return total

    def peak_mb(self) -> int:
        """The most memory that the environment's function has used so far, in MB rounded up, as REPORT says
        it.
        """
        self.peak = max(self.peak, self._kilobytes(b"VmHWM:") * 1024)
        return -(-self.peak // MB)

    def _kilobytes(self, name: bytes) -> int:
        """A figure of the main process; 0 once it is gone."""
        _, _, rest = self._status.read().partition(name)
        return int(rest.split(None, 1)[0]) if rest else 0

    def close(self) -> None:
        self._status.close()
        self._load.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def _resident(pid: int) -> int:
    try:
        with open(f"{_PROC}/{pid}/statm") as file:  # noqa: PTH123 - on the path of every sample
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def oom_kills() -> int:
    """How often the kernel has killed for memory in this container (cgroup v2, else v1); 0 where it does
    not say.
    """
    for name in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(name).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return 0


def memory_limit() -> int | None:
    """The container's limit in bytes (cgroup v2, else v1); None if there is none or it is not said."""
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limit = int(Path(name).read_text())
            # v1 says "none" as a very large number.
            return limit if limit < 1 << 60 else None
    return None


def kill_below(root: int, seconds: float = 2.0) -> None:
    """Kills all of root's descendants and waits, bounded, until they are gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reap()
        left = descendants(root)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
