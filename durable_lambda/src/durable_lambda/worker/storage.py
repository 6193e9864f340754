"""S3, called outside of the event loop. Needs the library's extra `s3`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from durable_lambda.worker.trouble import Permanent

_BLOCK = 1 << 20


def _open(threads: int) -> Any:
    from durable_lambda.worker import s3  # in a thread: it takes seconds where disks are slow

    return s3.client(threads)


class Storage:
    """The few S3 calls that steps need. Every method raises only :class:`durable_lambda.worker.trouble.Trouble`.

    `missing` is the code for an object that is not there.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="s3")
        self._opening: Future[Any] | None = None

    async def open(self) -> None:
        """Make the client; calls wait for it. Raises botocore's errors about its configuration."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._client().result)

    def _client(self) -> Future[Any]:
        if self._opening is None:
            self._opening = self._pool.submit(_open, self._threads)
        return self._opening

    async def _call[T](self, missing: str, function: Callable[[Any], T], what: str) -> T:
        """Run a blocking call on the client."""
        loop, client = asyncio.get_running_loop(), self._client()
        try:
            return await loop.run_in_executor(self._pool, lambda: function(client.result()))
        except Exception as error:
            from durable_lambda.worker import s3  # loaded by now

            trouble = s3.trouble(error, missing, what)
            if trouble is None:
                raise
            raise trouble from None

    async def size(self, bucket: str, key: str, *, missing: str = "checkpoint_lost") -> tuple[int, str]:
        """Bytes and declared media type of an object."""
        what = f"s3://{bucket}/{key}"
        head = await self._call(missing, lambda s3: s3.head_object(Bucket=bucket, Key=key), what)
        return head["ContentLength"], head.get("ContentType", "")

    async def fetch(self, bucket: str, key: str, path: Path, *, missing: str = "checkpoint_lost") -> None:
        """Stream an object to a file."""

        def copy(s3: Any) -> None:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for block in body.iter_chunks(_BLOCK):
                    file.write(block)

        await self._call(missing, copy, f"s3://{bucket}/{key}")

    async def store(self, bucket: str, key: str, path: Path, media_type: str) -> str:
        """Stream a file to an object; doing it again writes the same object. Returns its URI."""

        def copy(s3: Any) -> None:
            s3.upload_file(str(path), bucket, key, ExtraArgs={"ContentType": media_type})

        await self._call("storage_unavailable", copy, f"s3://{bucket}/{key}")
        return f"s3://{bucket}/{key}"

    async def put(self, bucket: str, key: str, body: bytes, media_type: str) -> str:
        """Write a small object. Returns its URI."""

        def write(s3: Any) -> None:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=media_type)

        await self._call("storage_unavailable", write, f"s3://{bucket}/{key}")
        return f"s3://{bucket}/{key}"

    async def put_json(self, bucket: str, key: str, value: Any) -> str:
        body = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True).encode()
        return await self.put(bucket, key, body, "application/json")

    async def get_json(self, bucket: str, key: str) -> dict[str, Any] | None:
        """Read a small object; None if there is none."""

        def read(s3: Any) -> bytes:
            body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            return body

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
        """Delete the object of this key (`exactly`), or all below a prefix. Returns the URIs of what was there."""

        def remove(s3: Any) -> list[str]:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
            gone = [key for key in keys if key == prefix or not exactly]
            for key in gone:
                s3.delete_object(Bucket=bucket, Key=key)
            return [f"s3://{bucket}/{key}" for key in gone]

        return await self._call("storage_unavailable", remove, f"s3://{bucket}/{prefix}")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
