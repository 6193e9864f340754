"""The handler that refuses requests of foreign pages: see shared.doors.

LocalStack's own check of origins (`localstack.aws.handlers.cors`) comes after it. That check allows pages of LocalStack's
makers and of this machine. For S3 it refuses nothing: it only leaves out the headers that let a page read the answer, and
still carries out the request, a form upload or `?delete` for instance.
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from localstack.aws.api import RequestContext
from localstack.aws.handlers import preprocess_request
from localstack.http import Request
from localstack.services.s3.cors import S3CorsHandler
from rolo.gateway import HandlerChain
from rolo.response import Response

from shared.doors import Ask, Doors

#: LocalStack's names for itself, and below them those of its buckets. Its makers' DNS resolves all of them to 127.0.0.1.
NAMES = ("localhost.localstack.cloud", "*.localhost.localstack.cloud", "*.localstack")
_CODES = {400: "InvalidRequest", 403: "AccessDenied", 415: "InvalidRequest"}


class Pages:
    """A handler of LocalStack's chain."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raises SettingError."""
        self._doors = Doors.read(environ, NAMES, links=True)

    def __call__(self, chain: HandlerChain[Any], context: RequestContext, response: Response) -> None:
        request = context.request
        refusal = self._doors.refusal(_ask(request), lambda origin: _bucket_allows(request))
        if refusal is None:
            return
        said = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{_CODES[refusal.status]}</Code>'
            f"<Message>{escape(refusal.message)}</Message><RequestId>{context.request_id}</RequestId></Error>"
        )
        response.status_code = refusal.status
        response.data = re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd]", "?", said).encode()
        response.content_type = "application/xml"
        # Without LocalStack's own CORS headers, which would let the page read this answer.
        chain.terminate()


def _ask(request: Request) -> Ask:
    headers = request.headers

    def header(name: str) -> str | None:
        values = headers.getlist(name)
        return ", ".join(values) if values else None

    environ = request.environ
    return Ask(
        request.method, environ.get("RAW_URI", "/"), header, environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
    )


def _bucket_allows(request: Request) -> bool:
    """Whether the CORS rules of the requested bucket allow this request, as in S3."""
    if request.headers.get("Origin") is None:
        return False
    for handler in preprocess_request.handlers:
        if isinstance(handler, S3CorsHandler):
            is_s3, bucket = handler.pre_parse_s3_request(request)
            rules = handler.bucket_cors_index.cors.get(bucket) if is_s3 and bucket else None
            return rules is not None and handler.match_rules(request, rules["CORSRules"]) is not None
    return False
