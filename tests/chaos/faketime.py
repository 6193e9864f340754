"""A clock that can be set for a whole stack: libfaketime (Debian's package), preloaded into each process.

Containers share the machine's clock, and setting that would break whatever else runs there. libfaketime changes the
time that the C library returns, which covers all Python processes. Not covered: the Lambda emulator (a Go program,
which asks the kernel directly), the kernel's own timers, and time stamps of files. The monotonic clock is not changed,
just as when a real clock is set.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.report import STATE


def library() -> Path | None:
    """The path of the library, which is downloaded once and not installed; None if apt-get cannot download it."""
    kept = STATE.parent / "faketime" / "libfaketime.so.1"
    if kept.exists():
        return kept
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        # apt-get downloads as another user, who must be able to write there.
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
    """Set the clock of every process that uses this folder to the machine's time plus that offset."""
    new = folder / "clock.new"
    new.write_text(f"{seconds:+d}\n")
    new.chmod(0o644)
    new.replace(folder / "clock")
