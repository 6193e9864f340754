"""With AUTH=on, port 4566 accepts only requests that are signed with a key of this stack.

LocalStack itself checks only the signatures of presigned URLs, against one fixed secret. This handler is the first in its
chain that may answer.

No signature is needed for what the health check reads, and for preflight requests of browsers, which cannot have one.
Everything else below /_localstack and /_aws is closed, because there are no AWS credentials for it.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from localstack.aws.api import RequestContext
from localstack.http import Request
from rolo import Response
from rolo.gateway import HandlerChain

from shared import sigv4
from shared.environ import choice

from .s3_answers import S3Error, answer, denied
from .s3_payload import checked, payload_of

LOG = logging.getLogger("localstack.door")
#: Paths that need no signature; they show whether S3 is up.
_OPEN = ("/_localstack/health", "/_localstack/init", "/_localstack/init/ready")
_INTERNAL = ("/_localstack", "/_aws")
#: How far a client's clock may be off.
_SKEW = timedelta(minutes=15)
_KEYS = Path("/run/secrets/aws_keys")


def required(environ: Mapping[str, str]) -> "list[Signatures]":
    """The handler, if AUTH is on. Raises SettingError, KeysError."""
    if choice(environ, "AUTH", "off", "on", "off") == "off":
        return []
    keys = sigv4.read_keys(Path(environ.get("S3_KEYS_FILE") or _KEYS))
    region = environ.get("AWS_REGION") or "us-east-1"
    return [Signatures(sigv4.Verifier(keys, "s3", region, _SKEW))]


class Signatures:
    """A handler of LocalStack's chain: lets signed requests pass, and answers the others as S3 does."""

    def __init__(self, verifier: sigv4.Verifier) -> None:
        self._verifier = verifier

    def __call__(
        self, chain: HandlerChain[RequestContext], context: RequestContext, response: Response
    ) -> None:
        request = context.request
        if _is_open(request):
            return
        try:
            if request.path.startswith(_INTERNAL):
                raise S3Error("AccessDenied", "Access Denied")
            self._check(request)
        except sigv4.RefusedError as error:
            self._refuse(denied(error), chain, request)
        except S3Error as error:
            self._refuse(error, chain, request)

    @staticmethod
    def _refuse(error: S3Error, chain: HandlerChain[RequestContext], request: Request) -> None:
        LOG.info("%s %s: refused: %s: %s", request.method, request.path, error.code, error.message)
        chain.respond(*answer(error, request.method))

    def _check(self, request: Request) -> None:
        """Raises RefusedError, S3Error. The body is checked while S3 reads it."""
        signed = self._verifier.read(as_signed(request.environ))
        payload = payload_of(signed)
        signed.verify(payload)
        request.environ["wsgi.input"] = checked(
            request.environ["wsgi.input"], signed, payload, request.content_length
        )


def _is_open(request: Request) -> bool:
    if request.method in ("GET", "HEAD"):
        return request.path in _OPEN
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def as_signed(environ: Mapping[str, Any]) -> sigv4.Request:
    """The request as its client signed it, from what LocalStack's server keeps of it."""
    target = environ["RAW_URI"]
    path, _, query = target.partition("?")
    headers = [
        (name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))
        for name, value in environ["rolo.headers"]
    ]
    return sigv4.Request(environ["REQUEST_METHOD"], path, query, headers)
