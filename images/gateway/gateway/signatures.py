"""Signature Version 4 for the Lambda API with AUTH=on, and what Lambda answers to a wrong signature.

https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html. Types, codes and sentences are those that AWS's JSON
services share; SDKs know them by `x-amzn-ErrorType`.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta

from shared.sigv4 import Key, RefusedError, Request, Signed, Verifier, Why

#: How far a client's clock may be off; S3 allows more.
_SKEW = timedelta(minutes=5)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a sentence
_PARTS = {
    "Credential": "Authorization header requires 'Credential' parameter.",
    "Signature": "Authorization header requires 'Signature' parameter.",
    "SignedHeaders": "Authorization header requires 'SignedHeaders' parameter.",
    "Date": "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
}


class DeniedError(Exception):
    """The request is refused: 403, with AWS's error type and message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message


class Signatures:
    """Checks each request to the Lambda API."""

    def __init__(self, keys: Mapping[str, Key], region: str) -> None:
        self._verifier = Verifier(keys, "lambda", region, _SKEW)

    def read(self, request: Request) -> Signed:
        """Checks everything but the signature itself, before the body is read. Raises :class:`DeniedError`."""
        try:
            return self._verifier.read(request)
        except RefusedError as error:
            raise _denied(error) from None

    def verify(self, signed: Signed, body: bytes) -> None:
        """Raises :class:`DeniedError`."""
        try:
            signed.verify(hashlib.sha256(body).hexdigest())
        except RefusedError as error:
            raise _denied(error) from None


def _denied(error: RefusedError) -> DeniedError:
    said = error.details
    match error.why:
        case Why.MISSING:
            return DeniedError("MissingAuthenticationTokenException", "Missing Authentication Token")
        case Why.UNKNOWN_KEY | Why.TOKEN:
            return DeniedError("UnrecognizedClientException", _INVALID_TOKEN)
        case Why.MISMATCH:
            return DeniedError("InvalidSignatureException", _MISMATCH)
        case Why.LATE:
            text = "Signature expired: {signed} is now earlier than {limit} ({now} - 5 min.)"
        case Why.EARLY | Why.NOT_YET:
            text = "Signature not yet current: {signed} is still later than {limit} ({now} + 5 min.)"
        case Why.EXPIRED:
            text = "Signature expired: {now} is now later than {ends}"
        case Why.SCOPE:
            text = {
                "date": "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                "'{found}' != '{expected}'.",
                "region": "Credential should be scoped to a valid region, not '{found}'.",
                "service": "Credential should be scoped to correct service: '{expected}'.",
                "terminator": "Credential should be scoped with a valid terminator: '{expected}', not '{found}'.",
            }[said["field"]]
        case Why.UNSIGNED_HEADERS:
            text = "These headers must be signed, and are not: {names}."
        case Why.EXPIRES:
            return DeniedError(
                "IncompleteSignatureException", "X-Amz-Expires must be from 1 to 604800 seconds."
            )
        case Why.TWICE:
            return DeniedError(
                "IncompleteSignatureException",
                "Sign in the Authorization header or in the query, not in both.",
            )
        case Why.ALGORITHM:
            return DeniedError(
                "IncompleteSignatureException", "Sign with AWS4-HMAC-SHA256 (Signature Version 4)."
            )
        case Why.INCOMPLETE:
            parts = [
                _PARTS.get(part, f"The query requires 'X-Amz-{part}'.") for part in said["parts"].split(", ")
            ]
            text = " ".join(parts) if said["parts"] else "A part of the signature is given more than once."
            return DeniedError("IncompleteSignatureException", text)
    return DeniedError("InvalidSignatureException", text.format(**said))
