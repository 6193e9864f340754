"""What a client sends: the job, and a verdict on one that waits for approval."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator

from durable_lambda.ids import JOB_ID

JobType = Literal["contract", "invoice", "report"]

#: A token's subject must be allowed: Auth0's and others' have the form `auth0|…`. It becomes part of an S3 key: no slash.
_REQUESTER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+|:-]{0,127}")
_BUCKET_SHORTEST = 3


def _requester_id(value: str) -> str:
    if not _REQUESTER_ID.fullmatch(value):
        raise ValueError(
            "must be 1 to 128 letters, digits or . _ @ + | : -, beginning with a letter or digit"
        )
    return value


def _url(value: str, schemes: tuple[str, ...]) -> str:
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    if any(ord(c) <= 32 or ord(c) == 127 for c in value):
        raise ValueError("must not contain spaces or control characters; percent-encode them")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must start with {wanted}")
    if not parts.hostname:
        raise ValueError(f"must name a host, as in {schemes[-1]}://host/path")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise ValueError("must name a host that DNS can hold (labels of 1 to 63 characters)") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry credentials; they would be stored with the job")
    return value


def _document_url(value: str) -> str:
    _url(value, ("s3", "https"))
    parts = urlsplit(value)
    if parts.scheme == "s3":
        if len(parts.netloc) < _BUCKET_SHORTEST or ":" in parts.netloc:
            raise ValueError("must name a bucket, as in s3://bucket/key")
        if not parts.path.strip("/"):
            raise ValueError("must name an object, as in s3://bucket/key")
    return value


def _callback_url(value: str) -> str:
    return _url(value, ("http", "https"))


class Job(BaseModel):
    """One document to process, as `POST /process-document` takes it. `jobId` is the idempotency key."""

    # Unknown fields are refused: a misspelt `requiresApproval` must not silently skip the approval.
    model_config = ConfigDict(extra="forbid", frozen=True)

    jobId: Annotated[str, Field(pattern=JOB_ID)]  # noqa: N815 - the wire's spelling
    documentUrl: Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_document_url)]  # noqa: N815
    requesterId: Annotated[str, AfterValidator(_requester_id)]  # noqa: N815
    type: JobType
    requiresApproval: StrictBool = False  # noqa: N815
    callbackUrl: (  # noqa: N815
        Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_callback_url)] | None
    ) = None


class Verdict(BaseModel):
    """What `POST /approve/{jobId}` takes: who says yes or no, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approved: StrictBool
    approver: Annotated[str, Field(min_length=1, max_length=256)]
    comment: Annotated[str, Field(max_length=4096)] | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.approver.strip():
            raise ValueError("approver must name somebody")
        return self
