"""Which requests of browsers a port of ours (a "door") accepts: none from a foreign page, none with a foreign host name.

Any page that somebody on this machine opens may send requests to 127.0.0.1, or to an address of Docker's bridge, and a
page whose name is made to mean 127.0.0.1 (DNS rebinding) may read the answers as well. Such a request is recognized by
its headers:

- `Host` is the page's own name after DNS rebinding. A browser sets it; no page can change it.
- `Origin` names the page on every request but a plain GET or HEAD. A browser sets it too; it is `null` for a page
  that hides where it is from.
- `Sec-Fetch-Site` is there where a GET has no `Origin` (an image, a script, a link): https://www.w3.org/TR/fetch-metadata/

Command-line tools, SDKs and services send neither `Origin` nor `Sec-Fetch-Site`, so they are not affected. See
docs/decisions/0070. Standard library only: the images of the gateway, the functions, the server and S3 copy it.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from .environ import SettingError

#: The services' names on Docker's networks, and this machine's name in a container of Docker Desktop's. No page can
#: have one of these names: public DNS has no names of one label, and nobody can register one below `.internal`.
INSIDE = ("gateway", "lambda", "server", "localstack", "worker", "host.docker.internal")
#: A name, `*.` and a name, or an IP address.
_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s,*]+")
#: `Host`: a name or an IPv4 address, or an IPv6 address in brackets; a port.
_AUTHORITY = re.compile(r"(?:([a-z0-9_.-]+)|\[([0-9a-f:.]+)\])(?::\d{0,5})?", re.IGNORECASE)
#: At most so many `Host`s are remembered as allowed: names below one that is allowed have no end.
_REMEMBERED = 1000


class Refusal(NamedTuple):
    """What a door answers instead: an HTTP status (400, 403 or 415), and why, with what helps."""

    status: int
    message: str


class Ask(NamedTuple):
    """The parts of a request that decide."""

    method: str
    #: As in the request line: a path, `*`, or a whole URL.
    target: str
    #: The value of a header by its name in lower case, values of a repeated one joined by a comma; None without it.
    header: Callable[[str], str | None]
    #: False for HTTP/1.0, where `Host` is optional.
    needs_host: bool = True


@dataclass(frozen=True)
class Doors:
    """The rule of one door. Origins are compared as text, as browsers do: scheme, host, and the port unless it is
    the scheme's own."""

    hosts: frozenset[str]
    origins: frozenset[str]
    #: A request that a page may send must say that it is JSON: no form and no plain text can.
    json_only: bool = False
    #: Pages of this door's own (a function may answer with one) may call it.
    own_pages: bool = False
    #: Whether links from other pages work: a GET that loads the whole window, which the other page cannot read.
    links: bool = False
    #: `Host`s that were found to be allowed.
    _known: set[str | None] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        more: Iterable[str] = (),
        json_only: bool = False,
        own_pages: bool = False,
        links: bool = False,
    ) -> Self:
        """From ALLOWED_HOSTS and ALLOWED_ORIGINS, and `more` names of this door's own. Raises SettingError."""
        return cls(
            frozenset(INSIDE) | frozenset(more) | frozenset(allowed_hosts(environ)),
            frozenset(allowed_origins(environ)),
            json_only,
            own_pages,
            links,
        )

    def refusal(self, ask: Ask, also: Callable[[str], bool] = lambda origin: False) -> Refusal | None:
        """None if the request may pass. `also` tells whether an origin is allowed by something else (CORS)."""
        header = ask.header
        host = header("host")
        if host not in self._known:
            if host is None:
                if ask.needs_host:
                    return Refusal(400, "The request has no Host header, which HTTP/1.1 demands.")
            elif (refused := self._host(host)) is not None:
                return refused
        if not ask.target.startswith("/") and ask.target != "*":
            named = ask.target if ask.method == "CONNECT" else _authority_of(ask.target)
            if (refused := self._host(named)) is not None:
                return refused
        origin = header("origin")
        if origin is not None:
            return self._origin(ask, host, origin, also)
        site = header("sec-fetch-site")
        if site is None or site in ("none", "same-origin"):
            return None
        return self._without_origin(ask, also)

    def _host(self, host: str) -> Refusal | None:
        found = _AUTHORITY.fullmatch(host)
        if found is None:
            return Refusal(400, f"Host {host[:100]!r} is no name of a host.")
        name = (found[1] or found[2]).lower().rstrip(".")
        if not (self._is_loopback(name) or self._named(name)):
            return Refusal(
                403,
                f"Host {host[:100]!r} is no name of this stack. If it is one, add it to ALLOWED_HOSTS.",
            )
        if len(self._known) < _REMEMBERED:
            self._known.add(host)
        return None

    @staticmethod
    def _is_loopback(name: str) -> bool:
        """Other addresses are not allowed unless named, though no rebinding leads to them: to these alone, and to
        `localhost`, browsers send `Sec-Fetch-Site` without TLS."""
        if name in ("localhost", "::1") or name.endswith(".localhost"):
            return True
        try:
            return ipaddress.IPv4Address(name).is_loopback
        except ValueError:
            return False

    def _named(self, name: str) -> bool:
        if name in self.hosts:
            return True
        return any(f"*{name[at:]}" in self.hosts for at, letter in enumerate(name) if letter == ".")

    def _origin(self, ask: Ask, host: str | None, origin: str, also: Callable[[str], bool]) -> Refusal | None:
        own = self.own_pages and host is not None and origin.partition("://")[2] == host.lower()
        if not (own or origin in self.origins or also(origin)):
            return Refusal(
                403,
                f"Pages of the origin {origin[:200]!r} may not call this door. If they shall, add it to "
                "ALLOWED_ORIGINS.",
            )
        if self.json_only and ask.method in ("POST", "PUT", "PATCH"):
            kind = (ask.header("content-type") or "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return Refusal(
                    415,
                    f"From a page this door takes application/json alone, not {kind[:100] or 'nothing'!r}.",
                )
        return None

    def _without_origin(self, ask: Ask, also: Callable[[str], bool]) -> Refusal | None:
        """A GET that another page makes."""
        header = ask.header
        is_link = header("sec-fetch-mode") == "navigate" and header("sec-fetch-dest") == "document"
        if self.links and is_link and ask.method in ("GET", "HEAD"):
            return None
        # A page can leave the referrer out, but not have it name another page.
        page = urlsplit(header("referer") or "")
        origin = f"{page.scheme}://{page.netloc}"
        if origin in self.origins or also(origin):
            return None
        return Refusal(
            403,
            "Pages of other origins may not call this door. If they shall, add their origins to ALLOWED_ORIGINS.",
        )


def _authority_of(target: str) -> str:
    """The host and port that an absolute target names; what is no such target counts as a strange host."""
    try:
        return urlsplit(target).netloc
    except ValueError:
        return target


def allowed_hosts(environ: Mapping[str, str]) -> list[str]:
    """ALLOWED_HOSTS: names or addresses, `*.example.org` for all below it. Raises SettingError."""
    hosts = _items(environ, "ALLOWED_HOSTS")
    for host in hosts:
        if not _NAME.fullmatch(host):
            raise SettingError(
                f"ALLOWED_HOSTS: {host!r} is no name of a host; expected names without ports, such as "
                "stack.example.org or *.example.org, with commas between"
            )
    return [host.rstrip(".") for host in hosts]


def allowed_origins(environ: Mapping[str, str]) -> list[str]:
    """ALLOWED_ORIGINS: as browsers send them. Raises SettingError."""
    origins = _items(environ, "ALLOWED_ORIGINS")
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise SettingError(
                f"ALLOWED_ORIGINS: {origin!r} is no origin; expected such as http://localhost:3000, with commas between"
            )
    return origins


def _items(environ: Mapping[str, str], name: str) -> list[str]:
    return [item.lower() for item in re.split(r"[,\s]+", environ.get(name, "")) if item]
