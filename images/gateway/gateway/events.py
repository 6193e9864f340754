"""The event that an HTTP request becomes, payload 2.0 or 1.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from .routes import Route

#: Headers between two neighbouring machines only; the function never sees them.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "proxy-connection", "expect"}
)
#: Everything else is handed over in base64, as in AWS: a form's fields too, and a body without a type. AWS documents no
#: list; this one was measured there: https://github.com/ministackorg/ministack/pull/766
_TEXT = re.compile(r"text/.*|application/(json|xml|javascript)", re.IGNORECASE)


@dataclass
class Api:
    """What every request of this API has in common."""

    account: str
    api_id: str
    stage: str


@dataclass
class Request:
    """An HTTP request as the gateway received it. `headers` in order, repeated ones repeated."""

    method: str
    raw_path: str
    raw_query: str
    headers: list[tuple[str, str]]
    body: bytes
    source_ip: str
    trace: str
    protocol: str = "HTTP/1.1"
    #: As API Gateway's: 15 characters of base64 and a "=".
    request_id: str = field(default_factory=lambda: base64.b64encode(os.urandom(11)).decode())
    time: float = field(default_factory=time.time)
    #: What an authorizer found out about the caller.
    authorizer: dict[str, Any] | None = None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def host(self) -> str:
        return self.header("host") or "localhost"

    @property
    def domain(self) -> str:
        return re.sub(r":\d+$", "", self.host)

    @property
    def port(self) -> str:
        found = re.search(r":(\d+)$", self.host)
        return found[1] if found else "80"

    def forwarded(self) -> dict[str, list[str]]:
        """The headers as the function sees them: lower case, with what API Gateway adds."""
        headers: dict[str, list[str]] = {}
        for name, value in self.headers:
            if name.lower() not in _HOP_BY_HOP:
                headers.setdefault(name.lower(), []).append(value)
        if self.body:
            headers["content-length"] = [str(len(self.body))]
        headers["host"] = [self.host]
        headers["x-amzn-trace-id"] = [self.trace]
        headers["x-forwarded-for"] = [", ".join([*headers.get("x-forwarded-for", []), self.source_ip])]
        headers["x-forwarded-port"] = [self.port]
        headers["x-forwarded-proto"] = ["http"]
        return headers

    def query(self) -> dict[str, list[str]]:
        parameters: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.raw_query, keep_blank_values=True):
            parameters.setdefault(name, []).append(value)
        return parameters

    def content(self) -> tuple[str | None, bool]:
        """The body as text, or in base64."""
        if not self.body:
            return None, False
        kind = (self.header("content-type") or "").partition(";")[0].strip()
        if _TEXT.fullmatch(kind) and not self.header("content-encoding"):
            try:
                return self.body.decode(), False
            except UnicodeDecodeError:
                pass
        return base64.b64encode(self.body).decode(), True

    def clock(self) -> str:
        return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self.time))


def build(
    version: str, request: Request, route: Route, parameters: dict[str, str], api: Api
) -> dict[str, Any]:
    """The event of `version`, "1.0" or "2.0"."""
    make = _version_1 if version == "1.0" else _version_2
    return make(request, route, parameters, api)


def _version_2(request: Request, route: Route, parameters: dict[str, str], api: Api) -> dict[str, Any]:
    headers = request.forwarded()
    cookies = [
        cookie.strip() for line in headers.pop("cookie", []) for cookie in line.split(";") if cookie.strip()
    ]
    # An HTTP API hands the path over decoded, and the query as it came.
    path = unquote(request.raw_path)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": request.raw_query,
    }
    if cookies:
        event["cookies"] = cookies
    event["headers"] = {name: ",".join(values) for name, values in headers.items()}
    if query := request.query():
        event["queryStringParameters"] = {name: ",".join(values) for name, values in query.items()}
    event["requestContext"] = {
        "accountId": api.account,
        "apiId": api.api_id,
        **({"authorizer": request.authorizer} if request.authorizer else {}),
        "domainName": request.domain,
        "domainPrefix": request.domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent") or "",
        },
        "requestId": request.request_id,
        "routeKey": route.key,
        "stage": api.stage,
        "time": request.clock(),
        "timeEpoch": int(request.time * 1000),
    }
    if parameters:
        event["pathParameters"] = parameters
    body, encoded = request.content()
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = encoded
    return event


def _version_1(request: Request, route: Route, parameters: dict[str, str], api: Api) -> dict[str, Any]:
    headers, query = request.forwarded(), request.query()
    body, encoded = request.content()
    path = unquote(request.raw_path)
    identity = dict.fromkeys(
        [
            *("accessKey", "accountId", "caller", "cognitoAmr", "cognitoAuthenticationProvider"),
            *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId"),
        ]
    )
    return {
        "version": "1.0",
        "resource": route.resource,
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": {
            "accountId": api.account,
            "apiId": api.api_id,
            **({"authorizer": request.authorizer["jwt"]} if request.authorizer else {}),
            "domainName": request.domain,
            "domainPrefix": request.domain.partition(".")[0],
            "extendedRequestId": request.request_id,
            "httpMethod": request.method,
            "identity": {
                **identity,
                "sourceIp": request.source_ip,
                "user": None,
                "userAgent": request.header("user-agent") or "",
                "userArn": None,
            },
            "path": path,
            "protocol": request.protocol,
            "requestId": request.request_id,
            "requestTime": request.clock(),
            "requestTimeEpoch": int(request.time * 1000),
            "resourceId": route.key,
            "resourcePath": route.resource,
            "stage": api.stage,
        },
        "pathParameters": parameters or None,
        "stageVariables": None,
        "body": body,
        "isBase64Encoded": encoded,
    }
