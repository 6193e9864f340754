"""The worker: takes each document through four steps, on the plain Resonate SDK."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from resonate.context import Context
from resonate.resonate import Resonate
from resonate.retry import Exponential

RESULTS = f"s3://{os.environ.get('RESULTS_BUCKET', 'results')}"
#: How long the analysis takes at least, in seconds: time to look at a job, and to kill its worker.
ANALYZE_SECONDS = float(os.environ.get("ANALYZE_SECONDS") or 0)


async def process_document(ctx: Context, job: dict[str, Any]) -> dict[str, Any]:
    """The workflow. What a step returns is its checkpoint: after a crash the steps that are done do not run again."""
    copied = await ctx.run(download, job)
    analysis = await ctx.run(analyze, copied)
    stored = await ctx.run(store, job, analysis)
    notified = await ctx.run(notify, job, stored)
    return {**analysis, "result": stored, "notification": notified}


# A step may run twice (a crash after its effect, before its checkpoint): it writes the same key again. A checkpoint says
# where a document is, and does not hold it: the next step may run on another machine.


async def download(ctx: Context, job: dict[str, Any]) -> str:
    document = await s3(job["documentUrl"])
    return await put(f"{RESULTS}/{job['jobId']}/document", document)


async def analyze(ctx: Context, copied: str) -> dict[str, Any]:
    await asyncio.sleep(ANALYZE_SECONDS)
    words = re.findall(r"\w+", (await s3(copied)).decode(errors="replace").lower())
    return {"words": len(words), "frequent": [word for word, _ in Counter(words).most_common(5)]}


async def store(ctx: Context, job: dict[str, Any], analysis: dict[str, Any]) -> str:
    return await put(f"{RESULTS}/{job['jobId']}/result.json", json.dumps(analysis).encode())


async def notify(ctx: Context, job: dict[str, Any], stored: str) -> str:
    message = json.dumps({"jobId": job["jobId"], "result": stored})
    return await put(f"{RESULTS}/inbox/{job['requesterId']}/{job['jobId']}.json", message.encode())


async def put(url: str, body: bytes) -> str:
    await s3(url, body)
    return url


async def s3(url: str, body: bytes | None = None) -> bytes:
    """GET, or PUT of `body`, at the stack's S3, in a thread: what blocks the event loop also stops the heartbeats."""
    address = os.environ["AWS_ENDPOINT_URL_S3"] + "/" + quote(url.removeprefix("s3://"), safe="/%")
    headers = {} if body is None else {"Content-Type": "application/octet-stream"}
    request = Request(address, body, headers, method="GET" if body is None else "PUT")  # noqa: S310

    def ask() -> bytes:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - the address is the stack's S3
            return bytes(answer.read())

    return await asyncio.to_thread(ask)


def token() -> str | None:
    """What the worker shows the server; None where the server asks for no token."""
    file = os.environ.get("RESONATE_TOKEN_FILE")
    return (Path(file).read_text().strip() if file else "") or None


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    resonate = Resonate(
        url=os.environ["RESONATE_URL"],
        token=token(),
        group=os.environ.get("WORKER_GROUP", "worker"),
        ttl=timedelta(seconds=10),  # a killed worker's job waits this long; the SDK's default is a minute
        retry_policy=Exponential(
            delay=1, factor=2, max_delay=30, max_retries=4
        ),  # the default goes on for decades
    )
    resonate.register(process_document)
    print("waiting for documents", flush=True)
    await stop.wait()
    await resonate.stop()


if __name__ == "__main__":
    asyncio.run(main())
