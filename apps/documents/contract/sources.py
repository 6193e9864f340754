"""Which documents a job may name: one rule, used where a job is submitted and again where its document is fetched.

Not part of the model `Job`: a job that was recorded under another rule has to stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, unquote_to_bytes, urlsplit

#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, general purpose buckets. Capitals and
#: underscores, which buckets of before 2018 in us-east-1 may have, are not taken.
_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
#: S3 reserves these for names that are not buckets: aliases of access points, which lead to a bucket of another name, …
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_LONGEST_KEY = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: S3 of AWS by https: `s3.REGION.amazonaws.com/BUCKET/…`, `BUCKET.s3.REGION.amazonaws.com/…`, and their older forms.
_S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3[.-](?:.+\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)")


class NotASourceError(ValueError):
    """No document is fetched from this documentUrl; the message says why, as the end of a sentence: `must …`."""


def split_s3(url: str) -> tuple[str, str]:
    """`s3://bucket/key` as bucket and key; the key percent-decoded, as it was encoded to be a URL.

    Raises :class:`NotASourceError` if S3 cannot have such an object.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    if scheme.lower() != "s3":
        raise NotASourceError("must begin with s3://")
    if (
        not _BUCKET.fullmatch(bucket)
        or bucket.startswith(_RESERVED_STARTS)
        or bucket.endswith(_RESERVED_ENDS)
    ):
        raise NotASourceError(
            f"must name a bucket as S3 names them (3 to 63 of a-z, 0-9, - and .); {bucket!r} is none"
        )
    try:
        key = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise NotASourceError("must name an object in UTF-8, percent-encoded") from None
    if not key.strip("/"):
        raise NotASourceError("must name an object, as in s3://bucket/key")
    if len(key.encode()) > _LONGEST_KEY:
        raise NotASourceError(f"must name an object by at most {_LONGEST_KEY} bytes")
    if _CONTROL.search(key):
        raise NotASourceError("must not have control characters in the object's name")
    # On the way to S3 they may be resolved like those in a path, and lead into another bucket.
    if {".", ".."} & set(key.split("/")):
        raise NotASourceError("must not have . or .. between slashes in the object's name")
    return bucket, key


def _names(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))


@dataclass(frozen=True)
class Sources:
    """The buckets that documents may come from. Never from `own`: other jobs' texts and results lie there."""

    own: frozenset[str] = frozenset({"work", "results"})
    #: Empty: documents may come from any other bucket.
    allowed: frozenset[str] = frozenset()
    #: The host that S3 is reached at, if it is not AWS's.
    endpoint: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """WORK_BUCKET and RESULTS_BUCKET are the stack's own. SOURCE_BUCKETS names the ones that documents may come
        from, DOCUMENTS_BUCKET being one of them; without it, any may.
        """
        named = _names(environ.get("SOURCE_BUCKETS", ""))
        documents = environ.get("DOCUMENTS_BUCKET") or "documents"
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        return cls(
            own=frozenset({environ.get("WORK_BUCKET") or "work", environ.get("RESULTS_BUCKET") or "results"}),
            allowed=named | {documents} if named else frozenset(),
            endpoint=_host(endpoint),
        )

    def check(self, url: str) -> None:
        """Raises :class:`NotASourceError` if documents may not be fetched from there."""
        if url[:5].lower() == "s3://":
            bucket, _ = split_s3(url)
            if bucket in self.own:
                raise NotASourceError(
                    f"must not name {bucket}: this stack keeps other jobs' texts and results there"
                )
            if self.allowed and bucket not in self.allowed:
                raise NotASourceError(
                    f"must name one of the buckets {', '.join(sorted(self.allowed))} (SOURCE_BUCKETS)"
                )
        elif self.own.intersection(self._buckets(url)):
            raise NotASourceError("must not lead into this stack's own buckets")

    def _buckets(self, url: str) -> Iterable[str]:
        """The buckets that a https:// URL of S3 may mean."""
        host = _host(url)
        if found := _S3_HOST.fullmatch(host):
            inside = found["bucket"]
        elif self.endpoint and (host == self.endpoint or host.endswith(f".{self.endpoint}")):
            inside = host.removesuffix(self.endpoint).rstrip(".")
        else:
            return []
        if inside:
            return [inside]
        # In a path, the bucket is the first part, also if dots lead back to it.
        parts: list[str] = []
        for part in unquote(urlsplit(url).path).replace("\\", "/").split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        return parts[:1]


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""
