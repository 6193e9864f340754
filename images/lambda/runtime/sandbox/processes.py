"""The function's processes: stop, continue, kill, measure. Linux /proc and signals; no privilege needed.

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


class Processes:
    """The main process of a function, by its id, and whatever it starts."""

    def __init__(self, main: int, rie: int) -> None:
        self.main = main
        self._known = {1, os.getpid(), rie, main}
        self._rie = rie
        #: Readable once the main process has ended; it is not our child but RIE's.
        self.pidfd = os.pidfd_open(main)
        self.peak = 0

    def _others(self) -> set[int]:
        """The function's processes but the main one. The usual case, none, costs one listing of /proc."""
        if _pids() <= self._known:
            return set()
        return descendants(os.getpid()) - self._known

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
        total = sum(_resident(pid) for pid in {self.main} | self._others())
        self.peak = max(self.peak, total)
        return total

    def peak_mb(self) -> int:
        """The most memory that the environment's function has used so far, in MB rounded up, as REPORT says
        it.
        """
        with contextlib.suppress(OSError, StopIteration):
            status = Path(f"{_PROC}/{self.main}/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
            self.peak = max(self.peak, int(line.split()[1]) * 1024)
        return -(-self.peak // MB)

    def close(self) -> None:
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
