"""A process of its own for each hostile file: limits on time, memory and output, no secrets, nothing shared.

The process runs a module of the application, which writes one JSON object to stdout: `{"fault": {"code", "message"}}` or
an answer. Whatever kills it costs one try of one step. What it can still reach is in confinement/.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from durable_lambda.worker import confinement
from durable_lambda.worker.trouble import Permanent, Transient

#: Where `python -m confinement` finds that package without importing the library, which takes a quarter of a second.
_HOME = str(Path(confinement.__file__).parents[1])
#: Most bytes of stdout, and of stderr. What is larger goes to a file.
_MAX_OUTPUT = 4 << 20
_BLOCK = 1 << 16
#: Longest message of a child's fault; the child is not to be trusted.
_MAX_MESSAGE = 500
#: The limit is one of processor time, which takes longer by the clock on a busy machine. A process that takes this many
#: times as long by the clock counts as hung.
_PATIENCE = 10
#: stderr of a process that met its memory limit contains one of these.
_OUT_OF_MEMORY = (b"MemoryError", b"Cannot allocate memory", b"bad_alloc", b"failed to map")


async def run_limited(
    module: str,
    *args: str,
    seconds: int,
    memory_mb: int,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
    codes: Container[str] = (),
    what: str = "The process",
) -> dict[str, Any]:
    """Run a module in a limited process and return its answer.

    Besides its own code it can open the files `reads`, and write to the files `writes`. These are made here: it cannot
    make any itself, so they are plain files afterwards. It may report faults with one of `codes`. Messages begin with
    `what`, such as "Reading the document".

    Raises :class:`durable_lambda.worker.trouble.Permanent` for the fault that it reports, `over_limit` when it meets
    a limit, `crashed` when it dies of a signal; `Transient` when it ends without an answer.
    """
    for path in writes:
        path.touch()
    plan = {
        "seconds": seconds,
        "memory_mb": memory_mb,
        "reads": [str(path) for path in reads],
        "writes": [str(path) for path in writes],
    }
    module_path = os.pathsep.join([*filter(None, sys.path), _HOME])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "confinement", json.dumps(plan), module, *args,
        cwd="/", env={"PATH": os.defpath, "PYTHONPATH": module_path, "LC_ALL": "C.UTF-8"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        limit=_BLOCK, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds * _PATIENCE):
            out, err = await asyncio.gather(_bounded(child.stdout, what), _bounded(child.stderr, what))
            code = await child.wait()
    except TimeoutError:
        raise Permanent("over_limit", f"{what} took over {seconds * _PATIENCE} s.") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    if code == 0 and (answer := _answer(out)) is not None:
        _raise_fault(answer.get("fault"), codes)
        return answer
    raise _failure(code, err, seconds, memory_mb, what)


async def _bounded(pipe: asyncio.StreamReader | None, what: str) -> bytes:
    """All of a pipe. Raises :class:`durable_lambda.worker.trouble.Permanent` if it is longer than an answer may be."""
    assert pipe is not None  # noqa: S101 - as it was asked for
    found = bytearray()
    while block := await pipe.read(_BLOCK):
        found += block
        if len(found) > _MAX_OUTPUT:
            raise Permanent("over_limit", f"{what} printed over {_MAX_OUTPUT >> 20} MB.")
    return bytes(found)


def _answer(out: bytes) -> dict[str, Any] | None:
    """The JSON object that was printed, or None if it is not one."""
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(out)
        if isinstance(answer, dict):
            return answer
    return None


def _failure(code: int, err: bytes, seconds: int, memory_mb: int, what: str) -> Permanent | Transient:
    """Why there is no answer."""
    if code in (-signal.SIGXCPU, -signal.SIGKILL) and b"MemoryError" not in err:
        return Permanent("over_limit", f"{what} took over {seconds} s of processor time.")
    if code == -signal.SIGXFSZ or b"File too large" in err:
        return Permanent("over_limit", f"{what} wrote a larger file than it may.")
    if any(sign in err for sign in _OUT_OF_MEMORY):
        return Permanent("over_limit", f"{what} took over {memory_mb} MB of memory.")
    if code < 0:
        return Permanent("crashed", f"{what} crashed its process ({_name(-code)}).")
    reason = err.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
    return Transient("internal_error", f"{what} ended with code {code}: {reason[0][:_MAX_MESSAGE]}", most=3)


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):  # most real-time signals have none
        return signal.Signals(number).name
    return f"signal {number}"


def _raise_fault(fault: Any, codes: Container[str]) -> None:
    """Raise the fault that a child reports, if it has one of these codes."""
    if isinstance(fault, dict) and fault.get("code") in codes:
        raise Permanent(str(fault["code"]), str(fault.get("message"))[:_MAX_MESSAGE])
