"""Checks that the body of a signed request is the one that was signed, as a whole or chunk by chunk.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html#create-signature-presign-entire-payload

S3 reads bodies of gigabytes as they arrive, so each is checked while it is read. A wrong body is an error before S3 has
read the end, and nothing is stored.
"""

import hashlib
import hmac
import io
import re
from typing import IO

from localstack.aws.api import CommonServiceException

from shared.sigv4 import EMPTY_HASH, UNSIGNED_PAYLOAD, Signed

from .s3_answers import S3Error

_CHUNKS_SIGNED = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
_WORDS = (UNSIGNED_PAYLOAD, *_CHUNKS_SIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
_BUFFER = 2**16
_MISMATCH = (
    "XAmzContentSHA256Mismatch",
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
    400,
)
_HASH = re.compile("[0-9a-f]{64}")
#: A chunk is held in memory until its signature is checked. SDKs send 64 KiB to 1 MiB.
_LARGEST_CHUNK = 16 * 2**20
_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})\r\n")


def payload_of(signed: Signed) -> str:
    """The text that represents the body in the signature. Raises S3Error."""
    payload = signed.request.header("x-amz-content-sha256")
    if payload is None and signed.presigned:
        return UNSIGNED_PAYLOAD
    if payload is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256", 400)
    if payload not in _WORDS and not _HASH.fullmatch(payload):
        words = ", ".join(_WORDS)
        raise S3Error(
            "InvalidArgument", f"x-amz-content-sha256 must be {words} or a valid sha256 value.", 400,
            {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": payload},
        )  # fmt: skip
    return payload


def checked(stream: IO[bytes], signed: Signed, payload: str, length: int | None) -> IO[bytes]:
    """The body's stream; it raises for bytes that were not signed. `length` is the Content-Length. Raises S3Error."""
    if not length and signed.request.header("transfer-encoding") is None:
        # S3 does not read an empty body.
        if payload not in (EMPTY_HASH, UNSIGNED_PAYLOAD):
            raise S3Error(*_MISMATCH)
        return stream
    if payload in _CHUNKS_SIGNED:
        return io.BufferedReader(_Chunks(stream, signed), _BUFFER)
    if _HASH.fullmatch(payload):
        return io.BufferedReader(_Whole(stream, payload, length), _BUFFER)
    return stream


class _Whole(io.RawIOBase):
    """A body whose hash was signed. Reading the last byte raises an error if the hash is wrong."""

    def __init__(self, stream: IO[bytes], expected: str, length: int | None) -> None:
        super().__init__()
        self._stream = stream
        self._expected = expected
        self._left = length
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        self._hash.update(data)
        if self._left is not None:
            self._left -= len(data)
        found = self._hash.hexdigest() if not data or self._left == 0 else None
        if found not in (None, self._expected):
            raise CommonServiceException(*_MISMATCH)
        buffer[: len(data)] = data
        return len(data)


class _Chunks(io.RawIOBase):
    """A body in chunks, each signed after the one before it; passed on unchanged, a chunk at a time."""

    def __init__(self, stream: IO[bytes], signed: Signed) -> None:
        super().__init__()
        self._stream = stream
        self._signed = signed
        self._previous = signed.signature
        self._ready = b""
        self._over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        if not self._ready:
            self._ready = self._stream.read(len(buffer)) if self._over else self._chunk()
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _chunk(self) -> bytes:
        head = self._stream.readline(128)
        found = _CHUNK_HEAD.fullmatch(head)
        size = int(found[1], 16) if found else -1
        if found is None or size > _LARGEST_CHUNK:
            raise CommonServiceException(
                "IncompleteBody", "A chunk has no signature, or no size.", status_code=400
            )
        data = self._stream.read(size) if size else b""
        self._previous = self._signed.chunk_signature(self._previous, data)
        if len(data) != size or not hmac.compare_digest(self._previous.encode(), found[2]):
            raise CommonServiceException(
                "SignatureDoesNotMatch",
                "A chunk's signature is not the one that its key makes.",
                status_code=403,
            )
        # The last chunk is followed by the trailing headers, which S3 itself reads.
        self._over = size == 0
        return head + data + (b"" if self._over else self._stream.read(2))
