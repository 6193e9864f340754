"""A clock that can be set, for a whole stack: libfaketime (Debian's package), laid before each process.

Containers share the machine's clock, and to set that would break whatever else runs there. libfaketime shifts what the C
library says: all that is Python. Not covered: the Lambda emulator (a Go program asks the kernel itself), the kernel's own
timers, and time stamps of files. The monotonic clock is left alone, as it is when a clock is set.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.report import STATE


def library() -> Path | None:
    """The library, downloaded once and not installed; None where apt-get cannot get it."""
    kept = STATE.parent / "faketime" / "libfaketime.so.1"
    if kept.exists():
        return kept
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        # apt-get lets another user do the download, who must be able to write there.
        Path(folder).chmod(0o777)
        got = subprocess.run(
            ["apt-get", "download", "-qq", "libfaketime"], cwd=folder, capture_output=True, check=False
        )
        packages = list(Path(folder).glob("*.deb"))
        if got.returncode != 0 or not packages:
            return None
        subprocess.run(["dpkg", "-x", packages[0], folder], check=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(Path(folder).rglob("libfaketime.so.1")), kept)
    return kept


def set_clock(folder: Path, seconds: int) -> None:
    """Set the clock of every process that goes by this folder, that much off the machine's."""
    new = folder / "clock.new"
    new.write_text(f"{seconds:+d}\n")
    new.chmod(0o644)
    new.replace(folder / "clock")
