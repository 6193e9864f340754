"""The machine that the figures come from: its hardware, and how quiet it was during the run."""

import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TICK = os.sysconf("SC_CLK_TCK")
#: On a machine that counts as quiet, the slowest run of a fixed loop takes at most this many times its fastest run.
NOISE = 1.25
#: The share of the processors' time that other programs may use while nothing is measured.
BUSY = 0.15
LOOP = 2_000_000
REST = 0.3  # s


class Machine:
    """Checked between rounds: runs a fixed loop, then stays idle to see how busy other programs keep the machine."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._busy: list[float] = []
        self.look()

    def look(self) -> None:
        begun = time.perf_counter()
        total = 0
        for n in range(LOOP):
            total += n
        self._took.append(time.perf_counter() - begun)
        used, passed = _processors()
        time.sleep(REST)
        used_then, passed_then = _processors()
        if passed_then > passed:
            self._busy.append((used_then - used) / (passed_then - passed))

    @property
    def noise(self) -> float:
        """The loop's slowest run divided by its fastest."""
        return max(self._took) / min(self._took)

    @property
    def busy(self) -> float:
        """The share of the processors that was typically in use while nothing was measured."""
        return statistics.median(self._busy) if self._busy else 0.0


def work(seconds: float) -> float:
    """How many processors this machine keeps busy, averaged over that time; 0 if the system does not tell."""
    before, begun = _worked(), time.perf_counter()
    time.sleep(seconds)
    return (_worked() - before) / TICK / (time.perf_counter() - begun)


def complaint(noise: float, busy: float) -> str:
    """A warning for the reader if the machine was not quiet; empty if it was."""
    said = []
    if noise > NOISE:
        said.append(f"a fixed loop took up to {noise:.2f} times its shortest time")
    if busy > BUSY:
        said.append(f"{busy:.0%} of the processors were busy while nothing was measured")
    return "a noisy machine: " + ", and ".join(said) if said else ""


def circumstances() -> str:
    """The time, the versions and the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    engine = _said("docker", "version", "--format", "{{.Server.Version}}")
    return ", ".join(
        (
            time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            f"version {_version()}",
            *_versions(),
            f"{os.cpu_count()} cores{_processor()}",
            f"{memory:.0f} GB",
            f"{platform.system()} {platform.release()} {platform.machine()}",
            f"Docker Engine {engine}",
        )
    )


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _version() -> str:
    """The commit, marked if files other than the measures' own output differ from it."""
    changed = _said("git", "status", "--porcelain", "--", ".", ":!bench/results", ":!docs")
    return _said("git", "describe", "--always") + ("-dirty" if changed else "")


def _versions() -> list[str]:
    """The versions of what is compared, from the lock files."""
    found = []
    for name, lock in (
        ("resonate-sdk", "apps/documents/requirements-worker.lock"),
        ("dbos", "bench/peers/requirements.lock"),
        ("aws-sam-cli", "deploy/tools/requirements.lock"),
    ):
        text = (ROOT / lock).read_text(encoding="utf-8")
        version = re.search(rf"^{name}==(\S+)", text, re.MULTILINE)
        if version:
            found.append(f"{name} {version[1]}")
    return found


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return f" ({model[1]})" if model else ""


def _processors() -> tuple[int, int]:
    """Busy ticks and total ticks, summed over all processors; zeros if the system does not tell."""
    ticks = _ticks()
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _worked() -> int:
    """Ticks of work, without the time that other virtual machines took (steal)."""
    ticks = _ticks()
    return sum(ticks[:7]) - ticks[3] - ticks[4]


def _ticks() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal, of all processors (proc(5))."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return [0] * 8
    return [int(word) for word in line.split()[1:9]]
