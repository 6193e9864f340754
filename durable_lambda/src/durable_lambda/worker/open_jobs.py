"""Which jobs are open, and in which group of workers: {"group": ["jobId", …]}, as JSON on stdout.

Usage: python -m durable_lambda.worker.open_jobs     (in a worker's container, whose settings name the server; if that
asks for tokens, RESONATE_TOKEN must be the operator's, because a worker's token may not search)

The workers of a version can be stopped once their group is no longer listed. Every promise that a worker is asked to
fulfil counts, including clean-ups and messages to requesters.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict

from resonate.resonate import Resonate

from durable_lambda.ids import job_id_of
from durable_lambda.worker.connections import Requests
from durable_lambda.worker.settings import SettingError, Settings, load

_PAGE = 100
_TARGET = "resonate:target"


async def open_jobs(settings: Settings) -> dict[str, list[str]]:
    """Every group with pending work, and the jobs it belongs to, in order."""
    network = Requests(settings.resonate_url, auth=settings.token)
    client = Resonate(
        network=network, token=settings.token, sources=[], subscription_refresh_secs=0, autostart=False
    )
    found: dict[str, set[str]] = defaultdict(set)
    await network.start()
    try:
        cursor = None
        while True:
            page = await client.promises.search("pending", {}, _PAGE, cursor)
            for promise in page.promises:
                # Only what a worker is asked for carries a target; a workflow's own steps do not.
                if target := promise.tags.get(_TARGET):
                    found[target.rpartition("@")[2]].add(job_id_of(promise.id))
            cursor = page.cursor
            if not cursor:
                return {group: sorted(jobs) for group, jobs in sorted(found.items())}
    finally:
        await client.stop()


def main() -> None:
    try:
        settings = load(Settings)
    except SettingError as error:
        sys.exit(f"open_jobs: {error}")
    print(json.dumps(asyncio.run(open_jobs(settings)), indent=2))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
