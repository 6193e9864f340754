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

import boto3
from resonate.context import Context
from resonate.resonate import Resonate
from resonate.retry import Exponential

s3 = boto3.client("s3")
TOKEN = Path(os.environ.get("RESONATE_TOKEN_FILE", os.devnull)).read_text().strip()
RESULTS = os.environ.get("RESULTS_BUCKET", "results")


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
    return await put(f"{job['jobId']}/document", await get(job["documentUrl"]))


async def analyze(ctx: Context, copied: str) -> dict[str, Any]:
    words = re.findall(r"\w+", (await get(copied)).decode(errors="replace").lower())
    await asyncio.sleep(float(os.environ.get("ANALYZE_SECONDS") or 0))
    return {"words": len(words), "frequent": [word for word, _ in Counter(words).most_common(5)]}


async def store(ctx: Context, job: dict[str, Any], analysis: dict[str, Any]) -> str:
    return await put(f"{job['jobId']}/result.json", json.dumps(analysis).encode())


async def notify(ctx: Context, job: dict[str, Any], stored: str) -> str:
    message = json.dumps({"jobId": job["jobId"], "result": stored})
    return await put(f"inbox/{job['requesterId']}/{job['jobId']}.json", message.encode())


# In a thread: what blocks the event loop also stops the heartbeats.


async def get(url: str) -> bytes:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    found = await asyncio.to_thread(s3.get_object, Bucket=bucket, Key=key)
    return await asyncio.to_thread(found["Body"].read)


async def put(key: str, body: bytes) -> str:
    await asyncio.to_thread(s3.put_object, Bucket=RESULTS, Key=key, Body=body)
    return f"s3://{RESULTS}/{key}"


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    resonate = Resonate(
        url=os.environ["RESONATE_URL"],
        token=TOKEN or None,
        group=os.environ.get("WORKER_GROUP", "worker"),
        ttl=timedelta(seconds=10),  # a killed worker's job waits this long; the SDK's default is a minute
        retry_policy=Exponential(delay=1, factor=2, max_delay=30, max_retries=4),
    )
    resonate.register(process_document)
    await stop.wait()
    await resonate.stop()


if __name__ == "__main__":
    asyncio.run(main())
