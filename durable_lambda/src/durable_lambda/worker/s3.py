"""The S3 client, and its errors sorted into what may pass and what will not.

A module of its own because boto3 is slow to load: a worker that starts can take up jobs while it loads.
"""

from __future__ import annotations

from typing import Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from durable_lambda.worker.trouble import Permanent, Transient, Trouble

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


def client(connections: int) -> Any:
    """A client for this many threads. Raises botocore's errors if it is not configured."""
    return boto3.client(
        "s3",
        config=Config(
            connect_timeout=3,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=connections,
            s3={"addressing_style": "path"},
        ),
    )


def trouble(error: Exception, missing: str, what: str) -> Trouble | None:
    """The fault that an error of a request for `what` stands for; None if it is not S3's error.

    `missing` is the code for an object that is not there.
    """
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _MISSING:
            return Permanent(missing, f"{what} does not exist ({code}).")
        if code in _REFUSED or status == 403:
            return Permanent("storage_refused", f"S3 refuses access to {what} ({code}).")
        if code in _PASSING or status >= 500 or status in {0, 408, 429}:
            return Transient("storage_unavailable", f"S3 cannot serve {what} now ({code}).")
        return Permanent("storage_refused", f"S3 refuses {what}: {error}")
    if isinstance(error, ParamValidationError):
        return Permanent("storage_refused", f"S3 can have no such object as {what}: {error}")
    # Some of botocore's errors, such as time-outs, are an OSError but neither of these two of Python's own.
    if isinstance(error, BotoCoreError | S3UploadFailedError | ConnectionError | TimeoutError):
        return Transient("storage_unavailable", f"S3 cannot serve {what} now: {error}")
    return None
