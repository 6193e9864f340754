"""A process of its own for each hostile file: limits on time, memory and output, no secrets, nothing shared.

The child is `python -P -m <module> ARG…`: it writes one JSON object to stdout,
`{"fault": {"code", "message"}}` or anything else. Whatever kills it costs one try of one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from trouble import Permanent, Transient

_HOME = Path(__file__).parent
_MAX_ANSWER = 8 << 20
#: The limit is one of processor time. On a busy machine that takes several times as long by the clock, which is
#: no fault of the document's; this many times is a reader that hangs.
_PATIENCE = 10
#: stderr of a process that met its memory limit says one of these.
_OUT_OF_MEMORY = (b"MemoryError", b"Cannot allocate memory", b"bad_alloc", b"failed to map")


async def run_limited(module: str, *args: str, seconds: int, memory_mb: int) -> dict[str, Any]:
    """Run a module in a limited process and return its answer.

    Raises :class:`trouble.Permanent` with the child's own code, or `document_too_complex` when it hits a
    limit.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "limited", str(seconds), str(memory_mb), module, *args,
        cwd=_HOME,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "LC_ALL":
        "C.UTF-8"}, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, limit=_MAX_ANSWER, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds * _PATIENCE):
            out, err = await child.communicate()
    except TimeoutError:
        raise Permanent(
            "document_too_complex", f"Reading the document took over {seconds * _PATIENCE} s."
        ) from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return _answer(child.returncode or 0, out, err, seconds, memory_mb)


def _answer(code: int, out: bytes, err: bytes, seconds: int, memory_mb: int) -> dict[str, Any]:
    if code == 0:
        with contextlib.suppress(ValueError):
            answer: dict[str, Any] = json.loads(out)
            fault = answer.get("fault")
            if fault:
                raise Permanent(fault["code"], fault["message"])
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
        name = signal.Signals(-code).name
        raise Permanent("document_corrupt", f"Reading the document crashed its reader ({name}).")
    reason = err.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
    raise Transient("internal_error", f"The document's reader ended with code {code}: {reason[0]}", most=3)
