"""Samples a Python process on this machine and prints py-spy's folded stacks.

Usage: python sample.py SECONDS PID     (in the machine's process namespace)
"""

import subprocess
import sys
import tempfile
from pathlib import Path

RATE = 200  # a second


def main() -> None:
    seconds, pid = sys.argv[1:3]
    with tempfile.NamedTemporaryFile() as kept:
        subprocess.run(
            [
                *("py-spy", "record", "--pid", pid, "--duration", seconds, "--rate", str(RATE)),
                *("--format", "raw", "--output", kept.name),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        sys.stdout.write(Path(kept.name).read_text())


if __name__ == "__main__":
    main()
