"""Checks AWS Signature Version 4, in the headers of a request or in its query (a presigned URL).

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

It depends on no web framework and no error codes: each service answers a refusal with its own. A service
checks in two steps, so that it reads no body for nothing: :meth:`Verifier.read` checks all but the signature itself,
:meth:`Signed.verify` the signature, once the payload's hash is known.
"""

import configparser
import hashlib
import hmac
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from urllib.parse import quote, unquote_plus, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
#: The longest life of a presigned URL, in seconds: seven days.
LONGEST_EXPIRES = 604800
_TIME = "%Y%m%dT%H%M%SZ"
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^\s,]+)")
_IN_QUERY = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")


class Why(Enum):
    """Why a request is refused; in brackets what `RefusedError.details` holds."""

    #: It is not signed.
    MISSING = auto()
    #: It is signed in the headers and in the query.
    TWICE = auto()
    #: It is signed in another way than version 4 with HMAC-SHA256.
    ALGORITHM = auto()
    #: Parts of the signature are not there, or not as they must be (`parts`; `where`: header or query).
    INCOMPLETE = auto()
    #: X-Amz-Expires is no number from 1 to 604800.
    EXPIRES = auto()
    #: The scope is another one (`field`: date, region, service or terminator; `found`, `expected`, `where`).
    SCOPE = auto()
    #: It was signed too long ago (`signed`, `limit`, `now`).
    LATE = auto()
    #: It is dated in the future (`signed`, `limit`, `now`).
    EARLY = auto()
    #: A presigned URL has expired (`expires`, `ends`, `now`), or is not valid yet (`signed`, `now`).
    EXPIRED = auto()
    NOT_YET = auto()
    #: There is no such key (`key`).
    UNKNOWN_KEY = auto()
    #: It has a session token; keys here have none.
    TOKEN = auto()
    #: Headers that must be signed are not (`names`).
    UNSIGNED_HEADERS = auto()
    #: The signature is not the one that the key makes (`key`).
    MISMATCH = auto()


class RefusedError(Exception):
    """The request is not let in."""

    def __init__(self, why: Why, **details: str) -> None:
        super().__init__(why.name, details)
        self.why = why
        self.details = details


class KeysError(ValueError):
    """The file of keys cannot be used; the message says why and what helps."""


@dataclass(frozen=True)
class Key:
    """An access key: whose it is, and its secret."""

    id: str
    secret: str
    owner: str


def read_keys(path: Path) -> dict[str, Key]:
    """Keys by their ids, from a file in the form of AWS's shared credentials file. Raises :class:`KeysError`."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text())
        found = [
            Key(section["aws_access_key_id"], section["aws_secret_access_key"], owner)
            for owner, section in parser.items()
            if owner != parser.default_section
        ]
    except (OSError, configparser.Error, KeyError) as error:
        raise KeysError(f"{path} is no file of AWS keys ({error}); make up makes it in secrets/own") from None
    if not found:
        raise KeysError(f"{path} holds no keys, so nobody could be let in; make up makes them in secrets/own")
    return {key.id: key for key in found}


@dataclass(frozen=True)
class Request:
    """A request as it came. `path` and `query` are encoded still; headers' names are in lower case."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """The value of the first header of that name."""
        return next((value for key, value in self.headers if key == name), None)

    def parameters(self) -> list[tuple[str, str]]:
        """The query's names and values, decoded, in their order."""
        pairs = (part.partition("=") for part in self.query.split("&") if part)
        return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


@dataclass(frozen=True)
class Signed:
    """A request that says who signed it. :meth:`verify` tells whether that is true."""

    request: Request
    key: Key
    #: date/region/service/aws4_request
    scope: str
    #: As in X-Amz-Date.
    time: str
    names: tuple[str, ...]
    signature: str
    presigned: bool
    #: S3 signs the path as it is, the other services encode what they normalized once more.
    plain_path: bool

    def verify(self, payload: str) -> None:
        """`payload` is the SHA-256 of the body in hexadecimal, or what stands in its place. Raises RefusedError."""
        canonical = "\n".join(
            [
                self.request.method,
                self._path(),
                self._query(),
                *(f"{name}:{self._value(name)}" for name in self.names),
                "",
                ";".join(self.names),
                payload,
            ]
        )
        digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
        if not hmac.compare_digest(self._sign(ALGORITHM, self.time, self.scope, digest), self.signature):
            raise RefusedError(Why.MISMATCH, key=self.key.id)

    def chunk_signature(self, previous: str, data: bytes) -> str:
        """The signature of a chunk of a body that is signed in chunks, after the one before it.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
        """
        digest = hashlib.sha256(data).hexdigest()
        return self._sign(f"{ALGORITHM}-PAYLOAD", self.time, self.scope, previous, EMPTY_HASH, digest)

    def _sign(self, *lines: str) -> str:
        key = b"AWS4" + self.key.secret.encode()
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, "\n".join(lines).encode(), "sha256").hex()

    def _path(self) -> str:
        path = self.request.path or "/"
        if self.plain_path:
            return quote(unquote_to_bytes(path), safe="/~")
        end = "/" if path.endswith("/") and path != "/" else ""
        return quote(posixpath.normpath("/" + path.lstrip("/")) + end, safe="/~")

    def _query(self) -> str:
        return "&".join(
            sorted(
                f"{_encoded(name)}={_encoded(value)}"
                for name, value in self.request.parameters()
                if not (self.presigned and name == "X-Amz-Signature")
            )
        )

    def _value(self, name: str) -> str:
        return ",".join(" ".join(value.split()) for key, value in self.request.headers if key == name)


class Verifier:
    """Checks requests to one service. `skew` is how far a client's clock may be off."""

    def __init__(self, keys: Mapping[str, Key], service: str, region: str, skew: timedelta) -> None:
        self._keys = keys
        self._service = service
        self._region = region
        self._skew = skew

    def read(self, request: Request, now: datetime | None = None) -> Signed:
        """Who has signed the request, and when; the signature is not checked yet. Raises :class:`RefusedError`."""
        now = now or datetime.now(UTC)
        fields, presigned = _fields(request)
        where = "query" if presigned else "header"
        try:
            signed_at = datetime.strptime(fields["Date"], _TIME).replace(tzinfo=UTC)
        except ValueError:
            raise RefusedError(Why.INCOMPLETE, parts="Date", where=where) from None
        key_id, _, scope = fields["Credential"].partition("/")
        self._check_scope(scope, fields["Date"][:8], where)
        self._check_time(signed_at, int(fields["Expires"]) if presigned else None, now)
        if key_id not in self._keys:
            raise RefusedError(Why.UNKNOWN_KEY, key=key_id)
        if request.header("x-amz-security-token") or fields.get("Security-Token"):
            raise RefusedError(Why.TOKEN)
        names = tuple(fields["SignedHeaders"].lower().split(";"))
        must = {"host"} | {name for name, _ in request.headers if name.startswith("x-amz-")}
        if missing := must - set(names):
            raise RefusedError(Why.UNSIGNED_HEADERS, names=", ".join(sorted(missing)))
        return Signed(
            request, self._keys[key_id], scope, fields["Date"], tuple(sorted(names)), fields["Signature"],
            presigned, plain_path=self._service == "s3",
        )  # fmt: skip

    def _check_scope(self, scope: str, date: str, where: str) -> None:
        expected = {
            "date": date,
            "region": self._region,
            "service": self._service,
            "terminator": "aws4_request",
        }
        parts = scope.split("/")
        if len(parts) != len(expected):
            raise RefusedError(Why.INCOMPLETE, parts="Credential", where=where)
        for (field, wanted), found in zip(expected.items(), parts, strict=True):
            if found != wanted:
                raise RefusedError(Why.SCOPE, field=field, found=found, expected=wanted, where=where)

    def _check_time(self, signed: datetime, expires: int | None, now: datetime) -> None:
        said = {"signed": signed.strftime(_TIME), "now": now.strftime(_TIME)}
        if signed > now + self._skew:
            early = Why.EARLY if expires is None else Why.NOT_YET
            raise RefusedError(early, **said, limit=(now + self._skew).strftime(_TIME))
        if expires is None:
            if signed < now - self._skew:
                raise RefusedError(Why.LATE, **said, limit=(now - self._skew).strftime(_TIME))
        elif now > (ends := signed + timedelta(seconds=expires)):
            raise RefusedError(Why.EXPIRED, **said, expires=str(expires), ends=ends.strftime(_TIME))


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


def _encoded(text: str) -> str:
    return quote(text, safe="~", errors="surrogateescape")


def _fields(request: Request) -> tuple[dict[str, str], bool]:
    """What the signature consists of, and whether it stands in the query. Raises RefusedError."""
    headers = [value for name, value in request.headers if name == "authorization"]
    query = [(name[6:], value) for name, value in request.parameters() if name.startswith("X-Amz-")]
    in_query = any(name in ("Algorithm", "Signature") for name, _ in query)
    if headers and in_query:
        raise RefusedError(Why.TWICE)
    if in_query:
        return _in_query(query), True
    if not headers:
        # Version 2 in the query: what boto3 makes of a URL unless it is told otherwise.
        if {"AWSAccessKeyId", "Signature"} <= {name for name, _ in request.parameters()}:
            raise RefusedError(Why.ALGORITHM)
        raise RefusedError(Why.MISSING)
    algorithm, _, rest = headers[0].strip().partition(" ")
    if algorithm != ALGORITHM:
        raise RefusedError(Why.ALGORITHM)
    fields = dict(_FIELD.findall(rest)) | {"Date": request.header("x-amz-date") or ""}
    _complete(fields, ("Credential", "Signature", "SignedHeaders", "Date"), len(headers) == 1, "header")
    return fields, False


def _in_query(query: list[tuple[str, str]]) -> dict[str, str]:
    fields = dict(query)
    _complete(fields, _IN_QUERY, len(fields) == len(query), "query")
    if fields["Algorithm"] != ALGORITHM:
        raise RefusedError(Why.ALGORITHM)
    if (
        not re.fullmatch("[0-9]{1,6}", fields["Expires"])
        or not 1 <= int(fields["Expires"]) <= LONGEST_EXPIRES
    ):
        raise RefusedError(Why.EXPIRES)
    return fields


def _complete(fields: dict[str, str], wanted: tuple[str, ...], once: bool, where: str) -> None:
    missing = [name for name in wanted if not fields.get(name)]
    if missing or not once:
        raise RefusedError(Why.INCOMPLETE, parts=", ".join(missing), where=where)
