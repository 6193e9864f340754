"""What the process that reads a document can reach inside the stack when the document has taken it over."""

import json
import subprocess
from typing import Any

import pytest

from harness.application import image_of
from harness.engine import docker
from harness.machine import ROOT
from harness.stack import Stack

HOSTILE = ROOT / "durable_lambda/tests/worker/hostile.py"
#: The errors of a refusal by the filter or by Landlock, and Python's error when it cannot start a thread.
SHUT = {"EPERM", "EACCES", "can't start new thread"}
#: Runs inside the worker's container, as the worker's user: the hostile code as the reader, then again as a normal
#: process.
DRIVER = """
import asyncio, json, os, shutil, socket, subprocess, sys
from pathlib import Path
home = Path("/tmp/driver-%d" % os.getpid())
home.mkdir()
(home / "code").mkdir()
(home / "code" / "hostile.py").write_text(json.loads(sys.argv[1]))
sys.path[:0] = ["/app", str(home / "code")]
from durable_lambda.worker.isolation import run_limited
(worker,) = [int(p.name) for p in Path("/proc").iterdir()
             if p.name.isdigit() and (p / "cmdline").read_bytes() == b"python\\0worker.py\\0"]
other = home / "another-job's-document"
other.write_text("words")
files = [str(p) for p in Path("/run/secrets").iterdir()]
answer = home / "answer"
targets = json.dumps({
    "files": [*files, str(other), "/tmp/healthy", "/proc/self/environ", "/proc/net/tcp", "/etc/resolv.conf"],
    "pids": [worker, os.getpid(), 1],
    "tcp": [[socket.gethostbyname(host), port] for host, port in (("server", 8001), ("localstack", 4566))],
    "udp": [["127.0.0.11", 53]],
    "answer": str(answer),
})
reader = asyncio.run(run_limited("hostile", targets, seconds=30, memory_mb=256, reads=[], writes=[answer]))
answer.write_text("")
plain = json.loads(subprocess.run([sys.executable, home / "code" / "hostile.py", targets], capture_output=True).stdout)
shutil.rmtree(home)
for left in (Path("/tmp/outside"), Path("/dev/shm/outside")):
    left.unlink(missing_ok=True)
print(json.dumps({"worker": worker, "own": os.getpid(), "files": files, "reader": reader, "plain": plain}))
"""


@pytest.fixture(scope="module")
def found(stack: Stack) -> dict[str, Any]:
    said = docker(
        "exec", stack.containers("worker")[0], "python", "-c", DRIVER, json.dumps(HOSTILE.read_text())
    )
    answer: dict[str, Any] = json.loads(said)
    return answer


def test_every_door_is_shut_to_a_reader_that_is_taken_over(found: dict[str, Any]) -> None:
    """Secrets, other documents, the worker's environment and memory, signals, limits, TCP, UDP, Unix sockets, files
    elsewhere, processes, threads: nothing but the one file its text goes to."""
    doors = dict(found["reader"])
    assert doors.pop("environ") == ["LC_ALL", "PATH", "PYTHONPATH"]
    assert doors.pop("descriptors") == []
    assert doors.pop("answer") == "open"
    assert doors.pop("call unknown") == "ENOSYS"
    assert len(doors) > 80
    assert {door: said for door, said in doors.items() if said not in SHUT} == {}


def test_the_same_code_finds_them_open_where_nothing_closes_it_in(found: dict[str, Any]) -> None:
    doors, own = found["plain"], found["own"]
    wanted = {f"read {file}" for file in found["files"]} | {"/proc/1/environ", f"kill {found['worker']}"}
    wanted |= {f"/proc/{own}/environ", f"/proc/{own}/mem", f"ptrace {own}", f"prlimit {found['worker']}"}
    wanted |= {door for door in doors if door.startswith(("tcp", "udp"))} | {
        "AF_UNIX",
        "AF_INET",
        "socketpair",
    }
    wanted |= {
        "fork",
        "exec",
        "thread",
        "symlink",
        "link",
        "write /dev/shm/outside",
        "write /tmp/outside",
        "list /tmp",
    }
    assert any(file.startswith("/run/secrets/") for file in found["files"]), found["files"]
    assert {door: doors[door] for door in wanted if doors[door] != "open"} == {}


def test_the_worker_s_memory_is_closed_to_its_own_user(found: dict[str, Any]) -> None:
    """Even to an unconfined process, such as another reader on a kernel without Landlock, or a shell in the container."""
    worker = found["worker"]
    for door in (f"/proc/{worker}/environ", f"/proc/{worker}/mem", f"/proc/{worker}/fd", f"ptrace {worker}"):
        assert found["plain"][door] in SHUT, door


def start(*options: str) -> subprocess.CompletedProcess[str]:
    """A worker in a container like the stack's whose kernel has no Landlock; it is stopped after its first log lines."""
    profile = {"names": ["landlock_create_ruleset"], "action": "SCMP_ACT_ERRNO"}
    rules = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [profile]})
    file = ROOT / ".state" / "no-landlock.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(rules)
    closed = [
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--network=none",
    ]
    return subprocess.run(
        ["docker", "run", "--rm", *closed, f"--security-opt=seccomp={file}", *options, image_of("worker"),
         "timeout", "--preserve-status", "5", "python", "worker.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_kernel_without_landlock_is_said_at_the_start_or_stops_the_worker() -> None:
    running = start()
    (line,) = [json.loads(line) for line in running.stdout.splitlines() if "not fully confined" in line]
    assert line["level"] == "warning"
    assert line["missing"].startswith("The kernel has no Landlock: ")
    assert "worker started" in running.stdout
    refused = start("--env=READER_ISOLATION=required")
    assert refused.returncode == 1
    assert "READER_ISOLATION=required is not possible here. The kernel has no Landlock: " in refused.stderr
    assert "worker started" not in refused.stdout
