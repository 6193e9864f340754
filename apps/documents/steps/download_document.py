"""Step 1: copies the document from its source to the work bucket, and checks its size and type."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from contract import Job, NotASourceError, split_s3
from durable_lambda.worker import Permanent
from durable_lambda.worker.web import too_large
from reading.fault import Unreadable
from reading.sniff import sniff
from steps.keys import document_key
from tools import Tools

_LIMIT = "MAX_DOCUMENT_MB"


async def download_document(tools: Tools, job: Job) -> dict[str, Any]:
    """Checkpoint: `{"uri", "sha256", "bytes", "mediaType", "name"}`."""
    settings = tools.settings
    name = PurePosixPath(unquote(urlsplit(job.documentUrl).path)).name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document"
        try:
            settings.sources.check(job.documentUrl)
        except NotASourceError as error:
            raise Permanent("url_not_allowed", f"documentUrl {error}.") from None
        if job.documentUrl[:5].lower() == "s3://":
            sha256, size, declared = await _from_s3(tools, job.documentUrl, path)
        else:
            sha256, size, declared = await tools.web.download(
                job.documentUrl, path,
                limit=settings.max_document_bytes, setting=_LIMIT, seconds=settings.download_seconds,
            )  # fmt: skip
        await tools.crash_point(job, "download_document", "middle")
        try:
            media_type = await asyncio.to_thread(sniff, path, name, declared)
        except Unreadable as fault:
            raise Permanent(fault.code, fault.message) from None
        uri = await tools.storage.store(settings.work_bucket, document_key(job), path, media_type)
    return {"uri": uri, "sha256": sha256, "bytes": size, "mediaType": media_type, "name": name}


async def _from_s3(tools: Tools, uri: str, path: Path) -> tuple[str, int, str]:
    bucket, key = split_s3(uri)
    limit = tools.settings.max_document_bytes
    size, declared = await tools.storage.size(bucket, key, missing="document_not_found")
    if size > limit:
        raise too_large(uri, size, limit, _LIMIT)
    await tools.storage.fetch(bucket, key, path, missing="document_not_found")
    sha256, size = await asyncio.to_thread(_measured, path)
    return sha256, size, declared


def _measured(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
