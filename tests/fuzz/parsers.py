"""Reads damaged documents with the parsers of apps/documents. Runs in its worker's image, without a network.

Usage: python parsers.py FOLDER COUNT SEED     FOLDER: the documents to damage; writes one JSON object to stdout

Each document is read as the worker reads it: its type is detected, and a limited process of its own parses it. The
result must be text or a documented code; anything else is a failure, and so is a process that exceeds its time limit.
"""

import asyncio
import base64
import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from damage import damage

from contract import FAULTS
from durable_lambda.worker.isolation import run_limited
from durable_lambda.worker.trouble import Permanent, Transient
from reading.fault import Unreadable
from reading.sniff import sniff

SECONDS, MEMORY_MB = 20, 512
PARALLEL = os.cpu_count() or 1
WORDS = [
    b"\0" * 64, b"\xff" * 16, b"endobj", b"endstream", b"stream\n", b"xref", b"trailer", b"/Length 99999999",
    b"/Kids [1 0 R]",
    b"/Parent 1 0 R", b"1 0 R", b"<<" * 500, b"[" * 2000, b"(" * 2000, b"/Filter [/FlateDecode /FlateDecode /FlateDecode]",
    b"PK\x03\x04", b"PK\x01\x02", b"<w:p>" * 500, b"<div>" * 3000, b"<table><tr><td>" * 500, b"&#x10FFFF;", b"&amp;" * 500,
    b"<!ENTITY a 'b'>", b"Content-Type: multipart/mixed; boundary=a\n\n", b"--a\n" * 300, b"=?utf-8?q?=ff?=", b"\n\n",
]  # fmt: skip


async def read(data: bytes, name: str, folder: str) -> str:
    """A word for the outcome."""
    source, target = Path(folder) / "document", Path(folder) / "text"
    source.write_bytes(data)
    try:
        media_type = await asyncio.to_thread(sniff, source, name, "")
        async with asyncio.timeout(SECONDS + 15):
            await run_limited(
                "reading", str(source), media_type, str(target),
                seconds=SECONDS, memory_mb=MEMORY_MB, reads=[source], writes=[target],
            )  # fmt: skip
    except (Permanent, Transient) as error:
        return error.code if error.code in FAULTS else f"undocumented code {error.code}"
    except Unreadable as error:
        return error.code if error.code in FAULTS else f"undocumented code {error.code}"
    except TimeoutError:
        return "hang"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


async def main(folder: str, count: int, seed: int) -> None:
    documents = [(file.name, file.read_bytes()) for file in sorted(Path(folder).iterdir()) if file.is_file()]
    outcomes: Counter[str] = Counter()
    failed: list[dict[str, Any]] = []
    numbers = iter(range(count))

    async def client() -> None:
        with tempfile.TemporaryDirectory() as own:
            for number in numbers:
                chance = random.Random(f"{seed}/{number}")
                name, whole = chance.choice(documents)
                data = damage(whole, chance, WORDS)
                outcome = await read(data, chance.choice((name, "")), own)
                outcomes[outcome] += 1
                if outcome != "read" and outcome not in FAULTS:
                    failed.append({"why": outcome, "name": name, "data": base64.b64encode(data).decode()})

    await asyncio.gather(*(client() for _ in range(PARALLEL)))
    print(json.dumps({"outcomes": outcomes, "failures": len(failed), "failed": failed[:20]}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
