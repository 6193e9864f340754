"""S3, off the event loop, with its errors sorted into what may pass and what will not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from trouble import Permanent, Transient

_MISSING = {"NoSuchKey", "NoSuchBucket", "404", "NotFound", "NoSuchVersion"}
_REFUSED = {
    "AccessDenied",
    "403",
    "Forbidden",
    "AllAccessDisabled",
    "InvalidObjectState",
    "InvalidBucketName",
}
_PASSING = {
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "503",
    "500",
    "ThrottlingException",
}
_BLOCK = 1 << 20


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/key` as bucket and key; the key percent-decoded, as it was encoded to be a URL."""
    parts = urlsplit(uri.replace("?", "%3F").replace("#", "%23"))
    return parts.netloc, unquote(parts.path.removeprefix("/"))


class Storage:
    """The few S3 calls the steps need. Every method raises only :class:`trouble.Trouble`."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="s3")
        self._s3 = boto3.client(
            "s3",
            config=Config(
                connect_timeout=3,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=threads,
                s3={"addressing_style": "path"},
            ),
        )

    async def _call[T](self, missing: str, function: Callable[[], T], what: str) -> T:
        """Run a blocking call; `missing` is the code when the object is not there."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, function)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in _MISSING:
                raise Permanent(missing, f"{what} does not exist ({code}).") from None
            if code in _REFUSED or status == 403:
                raise Permanent("document_not_readable", f"S3 refuses access to {what} ({code}).") from None
            if code in _PASSING or status >= 500 or status in {0, 408, 429}:
                raise Transient("storage_unavailable", f"S3 cannot serve {what} now ({code}).") from None
            raise Permanent("document_not_readable", f"S3 refuses {what}: {error}") from None
        # Some of botocore's are an OSError as well, and none of Python's own for connections: its time-outs, for two.
        except (BotoCoreError, S3UploadFailedError, ConnectionError, TimeoutError) as error:
            raise Transient("storage_unavailable", f"S3 cannot serve {what} now: {error}") from None

    async def size(self, bucket: str, key: str) -> tuple[int, str]:
        """Bytes and declared media type of an object."""
        what = f"s3://{bucket}/{key}"
        head = await self._call(
            "document_not_found", lambda: self._s3.head_object(Bucket=bucket, Key=key), what
        )
        return head["ContentLength"], head.get("ContentType", "")

    async def fetch(self, bucket: str, key: str, path: Path, *, missing: str = "checkpoint_lost") -> None:
        """Stream an object to a file."""

        def copy() -> None:
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for block in body.iter_chunks(_BLOCK):
                    file.write(block)

        await self._call(missing, copy, f"s3://{bucket}/{key}")

    async def store(self, bucket: str, key: str, path: Path, media_type: str) -> str:
        """Stream a file to an object; the same again is the same object. Returns its URI."""

        def copy() -> None:
            self._s3.upload_file(str(path), bucket, key, ExtraArgs={"ContentType": media_type})

        await self._call("storage_unavailable", copy, f"s3://{bucket}/{key}")
        return f"s3://{bucket}/{key}"

    async def put(self, bucket: str, key: str, body: bytes, media_type: str) -> str:
        """Write a small object. Returns its URI."""

        def write() -> None:
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=media_type)

        await self._call("storage_unavailable", write, f"s3://{bucket}/{key}")
        return f"s3://{bucket}/{key}"

    async def put_json(self, bucket: str, key: str, value: Any) -> str:
        body = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True).encode()
        return await self.put(bucket, key, body, "application/json")

    async def get_json(self, bucket: str, key: str) -> dict[str, Any] | None:
        """Read a small object, or None where there is none."""

        def read() -> bytes:
            return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()

        try:
            found: dict[str, Any] = json.loads(
                await self._call("checkpoint_lost", read, f"s3://{bucket}/{key}")
            )
        except Permanent as trouble:
            if trouble.code == "checkpoint_lost":
                return None
            raise
        return found

    async def delete(self, bucket: str, prefix: str, *, exactly: bool) -> list[str]:
        """Delete the object of this key (`exactly`), or all below a prefix. Returns the URIs of what was
        there.
        """

        def remove() -> list[str]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
            gone = [key for key in keys if key == prefix or not exactly]
            for key in gone:
                self._s3.delete_object(Bucket=bucket, Key=key)
            return [f"s3://{bucket}/{key}" for key in gone]

        return await self._call("storage_unavailable", remove, f"s3://{bucket}/{prefix}")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
