"""What S3 answers if a signature is wrong: its codes, messages and XML.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from xml.sax.saxutils import escape

from shared.sigv4 import RefusedError, Why

_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method."
)
_PARTS = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
)
_PARTS += "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."


class S3Error(Exception):
    """An error of S3's; `more` are elements beside Code and Message."""

    def __init__(
        self, code: str, message: str, status: int = 403, more: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.more = more or {}


def denied(error: RefusedError) -> S3Error:
    """S3's error for a refusal."""
    said = error.details
    match error.why:
        case Why.MISSING:
            return S3Error("AccessDenied", "Access Denied")
        case Why.UNSIGNED_HEADERS:
            text = "There were headers present in the request which were not signed"
            return S3Error("AccessDenied", text, more={"HeadersNotSigned": said["names"]})
        case Why.NOT_YET:
            return S3Error("AccessDenied", "Request is not valid yet", more={"ServerTime": _iso(said["now"])})
        case Why.EXPIRED:
            more = {
                "X-Amz-Expires": said["expires"],
                "Expires": _iso(said["ends"]),
                "ServerTime": _iso(said["now"]),
            }
            return S3Error("AccessDenied", "Request has expired", more=more)
        case Why.LATE | Why.EARLY:
            more = {"RequestTime": said["signed"], "ServerTime": _iso(said["now"])}
            return S3Error(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                more=more | {"MaxAllowedSkewMilliseconds": "900000"},
            )
        case Why.UNKNOWN_KEY:
            text = "The AWS Access Key Id you provided does not exist in our records."
            return S3Error("InvalidAccessKeyId", text, more={"AWSAccessKeyId": said["key"]})
        case Why.MISMATCH:
            return S3Error("SignatureDoesNotMatch", _MISMATCH, more={"AWSAccessKeyId": said["key"]})
    return _malformed(error)


def _malformed(error: RefusedError) -> S3Error:
    said = error.details
    match error.why:
        case Why.TOKEN:
            return S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.", 400)
        case Why.TWICE:
            text = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            text += "parameter or the Authorization header should be specified"
            return S3Error("InvalidArgument", text, 400)
        case Why.ALGORITHM:
            text = (
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
            )
            return S3Error("InvalidRequest", text, 400)
        case Why.EXPIRES:
            text = "X-Amz-Expires must be a number from 1 to 604800 (seven days)"
            return S3Error("AuthorizationQueryParametersError", text, 400)
    in_query = said["where"] == "query"
    code = "AuthorizationQueryParametersError" if in_query else "AuthorizationHeaderMalformed"
    start = (
        "Error parsing the X-Amz-Credential parameter"
        if in_query
        else "The authorization header is malformed"
    )
    if error.why is not Why.SCOPE:
        wrong = said["parts"] or "a part is given more than once"
        return S3Error(code, _PARTS if in_query else f"{start}; wrong or missing: {wrong}.", 400)
    if said["field"] == "region":
        text = f"{start}; the region '{said['found']}' is wrong; expecting '{said['expected']}'"
        return S3Error(code, text, 400, {"Region": said["expected"]})
    text = f"{start}; incorrect {said['field']} \"{said['found']}\". Expecting '{said['expected']}'."
    return S3Error(code, text, 400)


def answer(error: S3Error, method: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an error; the answer to HEAD has no body."""
    request_id = uuid.uuid4().hex[:16].upper()
    elements = {"Code": error.code, "Message": error.message, **error.more, "RequestId": request_id}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()
    headers = {"Content-Type": "application/xml", "x-amz-request-id": request_id}
    return error.status, b"" if method == "HEAD" else body, headers


def _iso(time: str) -> str:
    return datetime.strptime(time, "%Y%m%dT%H%M%SZ").strftime("%Y-%m-%dT%H:%M:%SZ")
