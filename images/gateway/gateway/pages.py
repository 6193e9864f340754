"""What both servers answer to requests of browsers: see shared.doors.

A request refused here reaches no function. In AWS it would, and only the answer would be kept from the page; there the
API is at a public address, here it is behind this machine's loopback (docs/decisions/0070).
"""

from aiohttp import web

from shared.doors import Ask

from .cors import Policy
from .routes import Cors

#: What the AWS SDK for JavaScript sends to the Lambda API, and may read of its answers.
_LAMBDA = Cors(
    methods=["POST"],
    headers=[
        "authorization", "content-type", "amz-sdk-invocation-id", "amz-sdk-request", "x-amz-client-context",
        "x-amz-content-sha256", "x-amz-date", "x-amz-invocation-type", "x-amz-log-type", "x-amz-security-token",
        "x-amz-user-agent", "x-amzn-trace-id",
    ],
    expose=[
        "x-amz-executed-version", "x-amz-function-error", "x-amz-log-result", "x-amzn-errortype", "x-amzn-requestid",
    ],
    max_age=600,
)  # fmt: skip
#: What a page may send to an HTTP API whose OpenAPI file does not configure CORS.
_HTTP = Cors(
    methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    headers=["authorization", "content-type", "x-amzn-trace-id"],
    expose=["retry-after", "apigw-requestid"],
    max_age=600,
)


def ask(request: web.Request) -> Ask:
    """The request, for the rule in shared.doors."""

    def header(name: str) -> str | None:
        return ", ".join(request.headers.getall(name)) if name in request.headers else None

    return Ask(request.method, request.raw_path, header, request.version >= (1, 1))


def http_policy(file: Cors | None, origins: frozenset[str]) -> Policy:
    """The CORS of the HTTP API: its OpenAPI file's, and ALLOWED_ORIGINS."""
    return Policy(file or _HTTP, origins)


def lambda_policy(origins: frozenset[str]) -> Policy:
    """The CORS of the Lambda API: ALLOWED_ORIGINS."""
    return Policy(_LAMBDA, origins)
