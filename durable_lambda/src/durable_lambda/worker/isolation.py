"""A process of its own for each hostile file: limits on time, memory and output, no secrets, nothing shared.

The child is `python -P -m limited PLAN <module> ARG…`. It writes one JSON object to stdout,
`{"fault": {"code", "message"}}` or anything else. Whatever kills it costs one try of one step. What it can reach is in
limited.py and confinement/.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contract import FAULTS
from trouble import Permanent, Transient

_HOME = Path(__file__).parent
#: Most bytes of stdout, and of stderr. An answer has far less: the text goes to a file.
_MAX_OUTPUT = 4 << 20
_BLOCK = 1 << 16
#: Longest message of a child's fault; the child is not to be trusted.
_MAX_MESSAGE = 500
#: The limit is one of processor time. On a busy machine that takes several times as long by the clock, which is
#: no fault of the document's; this many times is a reader that hangs.
_PATIENCE = 10
#: stderr of a process that met its memory limit says one of these.
_OUT_OF_MEMORY = (b"MemoryError", b"Cannot allocate memory", b"bad_alloc", b"failed to map")


async def run_limited(
    module: str,
    *args: str,
    seconds: int,
    memory_mb: int,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
) -> dict[str, Any]:
    """Run a module in a limited process and return its answer.

    Beside its own code it can open the files `reads`, and write to the files `writes`, which are made here: it cannot
    make any itself, so what lies there afterwards is a plain file.

    Raises :class:`trouble.Permanent` with the child's own code, or `document_too_complex` when it hits a
    limit.
    """
    for path in writes:
        path.touch()
    plan = {
        "seconds": seconds,
        "memory_mb": memory_mb,
        "reads": [str(path) for path in reads],
        "writes": [str(path) for path in writes],
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "limited", json.dumps(plan), module, *args,
        cwd=_HOME,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "LC_ALL":
        "C.UTF-8"}, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, limit=_BLOCK, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds * _PATIENCE):
            out, err = await asyncio.gather(_bounded(child.stdout), _bounded(child.stderr))
            code = await child.wait()
    except TimeoutError:
        raise Permanent(
            "document_too_complex", f"Reading the document took over {seconds * _PATIENCE} s."
        ) from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return _answer(code, out, err, seconds, memory_mb)


async def _bounded(pipe: asyncio.StreamReader | None) -> bytes:
    """All of a pipe. Raises :class:`trouble.Permanent` once it is more than an answer can be."""
    assert pipe is not None  # noqa: S101 - as it was asked for
    found = bytearray()
    while block := await pipe.read(_BLOCK):
        found += block
        if len(found) > _MAX_OUTPUT:
            raise Permanent(
                "document_too_complex", f"Reading the document printed over {_MAX_OUTPUT >> 20} MB."
            )
    return bytes(found)


def _answer(code: int, out: bytes, err: bytes, seconds: int, memory_mb: int) -> dict[str, Any]:
    if code == 0:
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(out)
            if isinstance(answer, dict):
                _raise_fault(answer.get("fault"))
                return answer
    if code in (-signal.SIGXCPU, -signal.SIGKILL) and b"MemoryError" not in err:
        raise Permanent(
            "document_too_complex", f"Reading the document took over {seconds} s of processor time."
        )
    if code == -signal.SIGXFSZ or b"File too large" in err:
        raise Permanent("document_too_complex", "The document's text is larger than a reader may write.")
    if any(sign in err for sign in _OUT_OF_MEMORY):
        raise Permanent("document_too_complex", f"Reading the document took over {memory_mb} MB of memory.")
    if code < 0:
        raise Permanent("document_corrupt", f"Reading the document crashed its reader ({_name(-code)}).")
    reason = err.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
    raise Transient(
        "internal_error",
        f"The document's reader ended with code {code}: {reason[0][:_MAX_MESSAGE]}",
        most=3,
    )


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):  # most real-time signals have none
        return signal.Signals(number).name
    return f"signal {number}"


def _raise_fault(fault: Any) -> None:
    """Raise the fault a child tells of, if it is one."""
    if isinstance(fault, dict) and fault.get("code") in FAULTS:
        raise Permanent(str(fault["code"]), str(fault.get("message"))[:_MAX_MESSAGE])
