"""Cross-origin requests, answered as v0.9.8's `tower_http::cors` does."""

from .http import Headers

VARY = "vary: origin, access-control-request-method, access-control-request-headers\r\n"


class Cors:
    """The headers for the allowed origins; `*` allows everything."""

    def __init__(self, origins: list[str]) -> None:
        self._any = "*" in origins
        self._origins = set(origins)

    def __bool__(self) -> bool:
        """Whether any page may ask at all."""
        return self._any or bool(self._origins)

    def allows(self, origin: str) -> bool:
        return self._any or origin in self._origins

    def headers(self, headers: Headers) -> str:
        """The header lines of an ordinary answer."""
        if self._any:
            return f"{VARY}access-control-allow-origin: *\r\naccess-control-expose-headers: *\r\n"
        return VARY + self._origin(headers)

    def preflight(self, headers: Headers) -> str:
        """The header lines of the answer to OPTIONS."""
        if self._any:
            return (
                f"{VARY}access-control-allow-methods: *\r\naccess-control-allow-headers: *\r\n"
                "access-control-allow-origin: *\r\n"
            )
        return (
            f"{VARY}access-control-allow-methods: GET,POST,PUT,PATCH,DELETE,OPTIONS\r\n"
            f"access-control-allow-headers: origin,content-length,content-type,authorization\r\n"
            f"{self._origin(headers)}"
        )

    def _origin(self, headers: Headers) -> str:
        origin = headers.get("origin")
        return f"access-control-allow-origin: {origin}\r\n" if origin in self._origins else ""
