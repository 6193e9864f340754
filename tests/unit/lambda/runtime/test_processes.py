"""Real processes, stopped and measured."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.processes import Processes, descendants, kill_below

#: A process, and a child of its own in another session.
SCRIPT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
block = b"x" * 50 * 2**20
print("ready", flush=True)
time.sleep(60)
"""


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def eventually(pid: int, wanted: str) -> None:
    for _ in range(200):
        if (state(pid) == "T") == (wanted == "T"):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is {state(pid)}, expected {wanted}")


@pytest.fixture
def function() -> Iterator[Processes]:
    started = subprocess.Popen([sys.executable, "-c", SCRIPT], process_group=0, stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    processes = Processes(started.pid, rie=0)
    yield processes
    processes.close()
    kill_below(os.getpid())
    started.stdout.close()
    started.wait()


def test_freeze_stops_children_in_other_sessions_too(function: Processes) -> None:
    family = descendants(function.main) | {function.main}
    assert len(family) == 2
    function.freeze()
    for pid in family:
        eventually(pid, "T")
    function.thaw()
    for pid in family:
        eventually(pid, "S")


def test_memory_is_that_of_all_processes(function: Processes) -> None:
    alone = function.peak_mb()
    assert alone >= 50
    assert function.measure() > 50 * 2**20
    assert function.peak_mb() >= alone


def test_kill_leaves_nobody(function: Processes) -> None:
    assert descendants(function.main)
    kill_below(os.getpid())
    assert not descendants(os.getpid())


#: Starts a thread each time it reads a line, and a process at the line "fork"; says its ids.
THREADS = """
import subprocess, sys, threading, time
for line in sys.stdin:
    if line == "fork\\n":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        print(child.pid, flush=True)
    else:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        print(0, flush=True)
"""


def test_a_process_among_new_threads_is_not_missed() -> None:
    """Freezing looks at what is new only; a child is stopped whenever it was started."""
    started = subprocess.Popen(
        [sys.executable, "-c", THREADS],
        process_group=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert started.stdin is not None
    assert started.stdout is not None
    processes = Processes(started.pid, rie=0)
    try:
        for line in ("thread", "thread", "fork", "thread"):
            started.stdin.write(f"{line}\n")
            child = int(started.stdout.readline())
            processes.freeze()
            eventually(started.pid, "T")
            if child:
                eventually(child, "T")
            processes.thaw()
            eventually(started.pid, "S")
    finally:
        processes.close()
        kill_below(os.getpid())
        started.wait()
        started.stdin.close()
        started.stdout.close()
