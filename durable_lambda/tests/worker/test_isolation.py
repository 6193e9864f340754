"""A limited process: what hostile code in it can reach, and what harm it can do."""

import asyncio
import json
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from durable_lambda.worker import Permanent, Transient, confinement, isolation, run_limited
from durable_lambda.worker.confinement import landlock, seccomp

#: The folder of hostile.py.
HERE = Path(__file__).parent
#: The error of a refusal by the filter or by Landlock, and of the filter for system calls it does not know.
SHUT = {"EPERM", "EACCES", "can't start new thread"}


def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    """Write a module with that code where the limited process finds it."""
    (tmp_path / "code").mkdir(exist_ok=True)
    (tmp_path / "code" / "evil.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "code")
    return "evil"


async def plain(*command: str) -> dict[str, Any]:
    """The JSON output of a command that runs without any confinement."""
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


async def test_every_door_is_shut_to_hostile_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.syspath_prepend(
        "/"
    )  # as if a script lay there: the process must not be able to open everything below it
    own, other, answer = tmp_path / "own", tmp_path / "other", tmp_path / "answer"
    own.write_text("the document")
    other.write_text("another job's document")
    targets = {
        "files": [str(other), "/etc/passwd", "/proc/self/environ"],
        "pids": [os.getpid(), 1],
        "tcp": [["127.0.0.1", 9]],
        "udp": [["127.0.0.1", 53]],
        "answer": str(answer),
    }
    found = await run_limited(
        "hostile", json.dumps(targets), seconds=20, memory_mb=256, reads=[own], writes=[answer]
    )
    assert found.pop("environ") == ["LC_ALL", "PATH", "PYTHONPATH"]
    assert found.pop("descriptors") == []
    assert found.pop("answer") == "open"
    assert found.pop("call unknown") == "ENOSYS"
    assert {door: said for door, said in found.items() if said not in SHUT} == {}
    assert answer.read_text() == "written"
    # AND without confinement the same code finds them open, so the test really tries what it claims
    answer.write_text("")
    control = await plain(sys.executable, str(HERE / "hostile.py"), json.dumps(targets))
    doors = {f"read {other}", f"kill {os.getpid()}", f"prlimit {os.getpid()}", f"write {tmp_path / 'beside'}"}
    doors |= {"udp 127.0.0.1:53", "AF_UNIX", "fork", "exec", "thread", "symlink", "link", "rename", "unlink"}
    assert {door: control[door] for door in doors if control[door] != "open"} == {}


async def test_the_one_document_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.write_text("words")
    module = hostile(
        tmp_path, monkeypatch, 'import sys; print(\'{"read": "%s"}\' % open(sys.argv[1]).read())'
    )
    assert await run_limited(module, str(own), seconds=5, memory_mb=256, reads=[own]) == {"read": "words"}
    with pytest.raises(Transient, match="PermissionError") as caught:
        await run_limited(module, str(own), seconds=5, memory_mb=256)
    assert caught.value.most == 3


@pytest.mark.parametrize("pipe", ["stdout", "stderr"])
async def test_a_flood_of_output_ends_the_process_and_costs_the_worker_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipe: str
) -> None:
    code = f"import sys\nfor _ in range(600): sys.{pipe}.write('x' * 1_000_000)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    module = hostile(tmp_path, monkeypatch, code)
    with pytest.raises(Permanent) as caught:
        await run_limited(module, seconds=20, memory_mb=256, what="Reading the document")
    assert (caught.value.code, caught.value.message) == (
        "over_limit",
        "Reading the document printed over 4 MB.",
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('[' * 1_000_000)", "ended with code 0"),
        ("print('[1, 2]')", "ended with code 0"),
        ("print('{')", "ended with code 0"),
        ("import os; os._exit(3)", "ended with code 3"),
        ("raise SystemExit('x' * 100_000)", "x" * 500),
    ],
)
async def test_an_answer_that_is_no_object_is_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    with pytest.raises(Transient, match=told) as caught:
        await run_limited(hostile(tmp_path, monkeypatch, code), seconds=20, memory_mb=512)
    assert caught.value.code == "internal_error"
    assert len(caught.value.message) < 600


async def test_a_process_tells_only_of_faults_that_the_application_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import json; print(json.dumps({'fault': {'code': 'corrupt', 'message': 'x' * 100_000}}))"
    module = hostile(tmp_path, monkeypatch, code)
    with pytest.raises(Permanent) as caught:
        await run_limited(module, seconds=20, memory_mb=256, codes={"corrupt", "empty"})
    assert (caught.value.code, len(caught.value.message)) == ("corrupt", 500)
    # Any other code is part of the answer, for the step to examine.
    answer = await run_limited(module, seconds=20, memory_mb=256, codes={"empty"})
    assert answer["fault"]["code"] == "corrupt"


@pytest.mark.parametrize(
    ("code", "seconds", "found", "message"),
    [
        ("while True: pass", 1, "over_limit", "1 s of processor time"),
        ("x = bytearray(2 << 30)", 5, "over_limit", "128 MB of memory"),
        ("import ctypes; ctypes.string_at(0)", 5, "crashed", "SIGSEGV"),
        ("import sys; open(sys.argv[1], 'wb').truncate(1 << 30)", 5, "over_limit", "a larger file"),
    ],
)
async def test_what_hostile_code_can_do_costs_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, seconds: int, found: str, message: str
) -> None:
    module, huge = hostile(tmp_path, monkeypatch, code), tmp_path / "huge"
    with pytest.raises(Permanent) as caught:
        await run_limited(module, str(huge), seconds=seconds, memory_mb=128, writes=[huge])
    assert caught.value.code == found
    assert message in caught.value.message


async def test_the_process_sees_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = hostile(tmp_path, monkeypatch, "import os, json; print(json.dumps(dict(os.environ)))")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("WEBHOOK_SECRET", "hush")
    assert "hush" not in json.dumps(await run_limited(module, seconds=5, memory_mb=256))


async def test_the_process_does_not_load_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading it would cost a quarter of a second per document; and none of our modules may be importable under a short
    name.
    """
    code = "import sys, json; print(json.dumps({'modules': sorted(sys.modules), 'path': sys.path}))"
    found = await run_limited(hostile(tmp_path, monkeypatch, code), seconds=5, memory_mb=256)
    assert not {
        name for name in found["modules"] if name.startswith(("durable_lambda", "resonate", "aiohttp"))
    }
    assert str(Path(isolation.__file__).parent) not in found["path"]


async def test_a_signal_without_a_name_is_a_crash_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = hostile(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 40)")
    with pytest.raises(Permanent, match="signal 40") as caught:
        await run_limited(module, seconds=20, memory_mb=256)
    assert caught.value.code == "crashed"


# ---------------------------------------------------------------- kernels without these features


def test_what_the_kernel_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert confinement.missing() == [], "this kernel cannot run these tests"
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(seccomp, "available", lambda: False)
    files, calls = confinement.missing()
    assert "Landlock" in files
    assert "seccomp" in calls


@pytest.mark.parametrize(
    ("lacking", "open_doors", "shut"),
    [
        ("landlock.version = lambda: 0", {"read /etc/passwd"}, {"AF_INET", "fork", "symlink"}),
        ("seccomp.available = lambda: False", {"udp 127.0.0.1:53"}, {"read /etc/passwd", "tcp 127.0.0.1:9"}),
    ],
)  # fmt: skip
async def test_one_means_holds_without_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str, open_doors: set[str], shut: set[str]
) -> None:
    """Run a process with the package `confinement` changed as on a kernel that lacks one of the two."""
    monkeypatch.syspath_prepend(HERE)
    code = tmp_path / "code"
    code.mkdir()
    lines = f"from confinement import landlock, limited, seccomp\n{lacking}\nlimited.main()"
    (code / "lacking.py").write_text(lines)
    targets = {
        "files": ["/etc/passwd"],
        "pids": [os.getpid()],
        "tcp": [["127.0.0.1", 9]],
        "udp": [["127.0.0.1", 53]],
    }
    plan = {"seconds": 20, "memory_mb": 256, "reads": [], "writes": []}
    path = os.pathsep.join([str(code), str(HERE), *sys.path, str(Path(isolation.__file__).parent)])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "lacking", json.dumps(plan), "hostile",
        json.dumps({**targets, "answer": str(tmp_path / "answer")}),
        env={**os.environ, "PYTHONPATH": path}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    found = json.loads(out)
    assert {door for door in open_doors if found[door] != "open"} == set()
    assert {door for door in shut if found[door] not in SHUT} == set()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_well_formed_for_each_machine(machine: str) -> None:
    """Runs the filter as the kernel would: each listed call is allowed, all others are not."""
    steps = list(struct.iter_unpack("=HBBI", seccomp.program(machine, 7)))
    column, arch, _ = seccomp._MACHINES[machine]

    def verdict(number: int, argument: int = 123_456, of: int = 0, on: int = arch) -> int:
        """The filter's verdict on a call with that argument in one place and nonsense in the others."""
        words = {0: number, 4: on} | {16 + 8 * place: 123_456 for place in range(6)} | {16 + 8 * of: argument}
        held, at = 0, 0
        while True:
            code, yes, no, value = steps[at]
            at += 1
            match code:
                case 0x20:
                    held = words[value]
                case 0x15:
                    at += yes if held == value else no
                case 0x35:
                    at += yes if held >= value else no
                case 0x06:
                    return int(value)

    allowed = {numbers[column] for numbers in seccomp._CALLS.values()} - {None}
    checked = {both[column]: (which, values) for both, which, values in seccomp._CALLS_WITH.values()}
    assert len(allowed) == sum(numbers[column] is not None for numbers in seccomp._CALLS.values())
    for number in range(600):
        said = verdict(number)
        expected = 0x00050001 if number < 463 else 0x00050026
        assert said == (0x7FFF0000 if number in allowed else expected), number
        assert verdict(number, on=0x40000003) == 0x80000000
    for number, (which, values) in checked.items():
        for value in values:
            assert verdict(number, argument=7 if value == -1 else value, of=which) == 0x7FFF0000
    assert verdict(0x40000000 + 41) == 0x00050026  # x32's socket()


def test_nothing_else_of_the_worker_s_starts_a_process() -> None:
    """There is only one way to start a process for a hostile file, so that no process runs unconfined. (alone.py starts
    the worker itself.)
    """
    home = Path(isolation.__file__).parent
    starts = (
        "subprocess",
        "os.fork",
        "os.spawn",
        "os.posix_spawn",
        "multiprocessing",
        "os.system",
        "os.popen",
    )
    found = [
        path.name
        for path in home.rglob("*.py")
        if ".venv" not in path.parts and any(word in path.read_text() for word in starts)
    ]
    assert sorted(found) == ["alone.py", "isolation.py"]
