"""Which jobs are open, and with which group of workers: {"group": ["jobId", …]}, as JSON on stdout.

Usage: python open_jobs.py     (in a worker's container: its settings name the server; where that asks for tokens,
RESONATE_TOKEN is the operator's, for a worker's may not search)

The workers of a version may go once their group is not in it any more. Clean-ups and notices count as open: they
are work of that group as well.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict

from resonate.resonate import Resonate

from connections import Requests
from contract import job_id_of
from settings import load

_PAGE = 100
_TARGET = "resonate:target"


async def open_jobs() -> dict[str, list[str]]:
    """Every group with pending work, and the jobs it belongs to, in order."""
    settings = load()
    token = settings.resonate_token or None
    network = Requests(settings.resonate_url, auth=token)
    client = Resonate(network=network, token=token, sources=[], subscription_refresh_secs=0, autostart=False)
    found: dict[str, set[str]] = defaultdict(set)
    await network.start()
    try:
        cursor = None
        while True:
            page = await client.promises.search("pending", {}, _PAGE, cursor)
            for promise in page.promises:
                # What a worker is asked for carries where it goes; a workflow's own steps do not.
                if target := promise.tags.get(_TARGET):
                    found[target.rpartition("@")[2]].add(job_id_of(promise.id))
            cursor = page.cursor
            if not cursor:
                return {group: sorted(jobs) for group, jobs in sorted(found.items())}
    finally:
        await client.stop()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(open_jobs()), indent=2))  # noqa: T201
