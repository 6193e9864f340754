"""CORS as an HTTP API does it:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html

Where it is configured, preflight requests are answered without a route, and the function's own CORS headers
are ignored.
"""

from collections.abc import Iterable

from shared.doors import Ask

from .answers import Answer
from .routes import Cors


class Policy:
    """Applies one CORS configuration, with `more` origins to those that it names."""

    def __init__(self, cors: Cors, more: Iterable[str] = ()) -> None:
        self._cors = cors
        self._origins = [*cors.origins, *more]

    def __bool__(self) -> bool:
        """Whether any page may call at all."""
        return bool(self._origins)

    def allows(self, origin: str) -> bool:
        return self._origin(origin) is not None

    def _origin(self, origin: str | None) -> str | None:
        if origin is None:
            return None
        if "*" in self._origins:
            return "*"
        for allowed in self._origins:
            wild = allowed in ("http://*", "https://*") and origin.startswith(allowed[:-1])
            if wild or allowed.lower() == origin.lower():
                return origin
        return None

    def preflight(self, ask: Ask) -> Answer | None:
        """The answer to a preflight request, None if the request is none."""
        asked = ask.method == "OPTIONS" and ask.header("access-control-request-method")
        if not asked or ask.header("origin") is None:
            return None
        headers = []
        if self._origin(ask.header("origin")):
            if self._cors.methods:
                headers.append(("access-control-allow-methods", ",".join(self._cors.methods)))
            if self._cors.headers:
                headers.append(("access-control-allow-headers", ",".join(self._cors.headers)))
            if self._cors.max_age is not None:
                headers.append(("access-control-max-age", str(self._cors.max_age)))
        return Answer(204, headers)

    def apply(self, origin: str | None, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The answer's headers with this policy's, for a request from `origin`."""
        ours = {
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "access-control-expose-headers",
        }
        kept = [(name, value) for name, value in headers if name not in ours]
        allowed = self._origin(origin)
        if allowed is None:
            return kept
        kept.append(("access-control-allow-origin", allowed))
        if self._cors.credentials:
            kept.append(("access-control-allow-credentials", "true"))
        if self._cors.expose:
            kept.append(("access-control-expose-headers", ",".join(self._cors.expose)))
        if allowed != "*":
            kept.append(("vary", "Origin"))
        return kept
