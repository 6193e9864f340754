"""Where the Resonate server is, as both halves read it from RESONATE_HOST and RESONATE_STORE_PORT."""

from __future__ import annotations

from urllib.parse import urlsplit

_PORT = 8001


def address(host: str, port: str | int | None = None) -> str:
    """The URL of a server. `host` may be a URL, and may have a port of its own; else `port` is used (default: 8001)."""
    url = urlsplit(host if "://" in host else f"http://{host}")
    try:
        has_port = url.port is not None
    except ValueError:
        raise ValueError(f"The server's address {host!r} has a port that is not a number to 65535.") from None
    if not url.hostname:
        raise ValueError(f"The server's address {host!r} has no host: write http://HOST or http://HOST:PORT.")
    return (url if has_port else url._replace(netloc=f"{url.netloc.rstrip(':')}:{port or _PORT}")).geturl()
