"""The machine the figures come from: what it is, and how quiet it was meanwhile."""

import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TICK = os.sysconf("SC_CLK_TCK")
#: How far the same loop may be slower, at worst, than at its best, on a machine that counts as quiet.
NOISE = 1.25
#: The share of the processors' time that others may take while nothing is measured.
BUSY = 0.15
LOOP = 2_000_000
REST = 0.3  # s


class Machine:
    """Looked at between rounds: the same loop each time, and then nothing, to see what others do."""

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
        """The loop's slowest over its fastest."""
        return max(self._took) / min(self._took)

    @property
    def busy(self) -> float:
        """Which share of the processors was in use while nothing was measured, as a rule."""
        return statistics.median(self._busy) if self._busy else 0.0


def work(seconds: float) -> float:
    """How many processors are at work, on average over that time, for this machine alone; 0 where it cannot be seen."""
    before, begun = _worked(), time.perf_counter()
    time.sleep(seconds)
    return (_worked() - before) / TICK / (time.perf_counter() - begun)


def complaint(noise: float, busy: float) -> str:
    """What a reader must know of a machine that was not quiet; empty for one that was."""
    said = []
    if noise > NOISE:
        said.append(f"the same loop took up to {noise:.2f} times its best")
    if busy > BUSY:
        said.append(f"{busy:.0%} of the processors were busy while nothing was measured")
    return "a noisy machine: " + ", and ".join(said) if said else ""


def circumstances() -> str:
    """When, which versions, on what machine."""
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
    """The commit, and whether anything but what the measures write differs from it."""
    changed = _said("git", "status", "--porcelain", "--", ".", ":!bench/results", ":!docs")
    return _said("git", "describe", "--always") + ("-dirty" if changed else "")


def _versions() -> list[str]:
    """Of what is compared, from the lock files."""
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
    """Ticks in use and ticks in all, of all processors; zeros where the system does not say."""
    ticks = _ticks()
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _worked() -> int:
    """Ticks of work, without what other machines took from this one."""
    ticks = _ticks()
    return sum(ticks[:7]) - ticks[3] - ticks[4]


def _ticks() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal, of all processors (proc(5))."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return [0] * 8
    return [int(word) for word in line.split()[1:9]]
