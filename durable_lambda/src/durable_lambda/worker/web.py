"""The web, carefully: documents and webhooks at addresses that somebody else chose.

A URL in a job may point at anything the worker can reach, the cloud's metadata service included. So names are
resolved here, every address is checked, and the connection goes to the very address that was checked; each
redirect is checked again. `PRIVATE_HOSTS` names the hosts for which this does not hold: a receiver or a document
server of one's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from contract import NotASourceError, Sources
from trouble import Permanent, Transient

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_BLOCK = 1 << 18
_AGENT = "document-processor/1"


#: What `is_global` takes for the open internet, and no document lies at: IANA's special-purpose registries
#: (https://www.iana.org/assignments/iana-ipv4-special-registry, …-ipv6-…) beyond this Python's own table, and Azure's
#: host. Other clouds' metadata is at link-local, shared or unique local addresses.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # Azure: metadata, DNS and health of a virtual machine
            "192.0.0.0/24",  # protocol assignments: PCP, the NAT's own control, answers there; Oracle Cloud's metadata
            "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24",  # AS112, AMT: the nearest relay
            "192.88.99.0/24",  # 6to4's relay
            "2001::/23",  # protocol assignments: PCP, Teredo, AMT, ORCHID
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)  # fmt: skip
#: Of IPv6, what is given to hosts of the internet at all: everything else is special, or nobody's yet.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also when it is wrapped in IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _UNICAST:
            return False
    special = any(ip in network for network in _SPECIAL)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not special


def _plain(host: str) -> str:
    """An IPv4 address that is spelled oddly (127.1, 2130706433, 0x7f000001), in the usual way."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return host


class _PublicResolver(AbstractResolver):
    """Resolves names to public addresses only, but for the hosts that may be private."""

    def __init__(self, private_hosts: Set[str]) -> None:
        self._private_hosts = private_hosts
        self._inner = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host.lower() in self._private_hosts:
            return found
        public = [result for result in found if is_public(result["host"])]
        if not public:
            raise Permanent(
                "url_not_allowed", f"{host} is at a private address; this worker does not go there."
            )
        return public

    async def close(self) -> None:
        await self._inner.close()


class Web:
    """GET for documents, POST for webhooks. Every method raises only :class:`trouble.Trouble`."""

    def __init__(self, *, private_hosts: Iterable[str] = (), sources: Sources | None = None) -> None:
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
        self._sources = sources or Sources()
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = _PublicResolver(self._private_hosts)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=64, ttl_dns_cache=10),
                headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    def check(self, url: str) -> URL:
        """The URL as it is connected to: read once, so that nothing else is connected to than was checked.

        Raises :class:`trouble.Permanent` for what no connection should be tried to.
        """
        try:
            target = URL(url, encoded=True)
            host = (target.raw_host or "").lower()
            host.encode("idna")
        except ValueError:
            raise _no_url(url) from None
        known = host in self._private_hosts
        if target.scheme != "https" and not (known and target.scheme == "http"):
            raise Permanent("url_not_allowed", f"{target.scheme}:// is not allowed here, only https://.")
        if not host:
            raise _no_url(url)
        try:
            public = is_public(_plain(host))
        except ValueError:
            if "[" in target.raw_authority:  # an address of a kind to come
                raise _no_url(url) from None
            return target  # a name, not an address: the resolver checks what it stands for
        if not public and not known:
            raise Permanent("url_not_allowed", f"{host} is a private address; this worker does not go there.")
        return target

    async def download(self, url: str, path: Path, *, limit: int, seconds: float) -> tuple[str, int, str]:
        """Stream a document to a file. Returns its sha256, its bytes and its declared media type."""
        try:
            async with asyncio.timeout(seconds):
                return await self._download(url, path, limit)
        except aiohttp.ServerTimeoutError as error:  # connecting, or nothing more comes
            raise Transient("source_unavailable", f"{_host(url)} is silent: {error}.") from None
        except TimeoutError:
            raise Transient("source_unavailable", f"{_host(url)} took over {seconds:g} s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _sorted(url, error) from None

    async def _download(self, url: str, path: Path, limit: int) -> tuple[str, int, str]:
        target = url
        for _ in range(_MAX_REDIRECTS + 1):
            place = self.check(target)
            try:
                self._sources.check(target)
            except NotASourceError as error:
                raise Permanent("url_not_allowed", f"{_shown(target)} {error}.") from None
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
            async with self._open().get(place, allow_redirects=False, timeout=timeout) as answer:
                if answer.status in _REDIRECTS and "Location" in answer.headers:
                    target = _moved(place, answer.headers["Location"])
                    continue
                _raise_for_status(url, answer.status, answer.headers)
                if (answer.content_length or 0) > limit:
                    raise too_large(answer.content_length or 0, limit)
                digest, size = hashlib.sha256(), 0
                with path.open("wb") as file:
                    async for block in answer.content.iter_chunked(_BLOCK):
                        size += len(block)
                        if size > limit:
                            raise too_large(size, limit)
                        digest.update(block)
                        file.write(block)
                return digest.hexdigest(), size, answer.content_type
        raise Permanent("document_not_readable", f"{_host(url)} redirects more than {_MAX_REDIRECTS} times.")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST to a webhook. Returns the status, whatever it is; redirects are not followed."""
        place = self.check(url)
        timeout = aiohttp.ClientTimeout(total=15, sock_connect=5)
        try:
            async with self._open().post(
                place, data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as answer:
                return answer.status
        except TimeoutError:
            raise Transient("source_unavailable", f"{_host(url)} did not answer within 15 s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _sorted(url, error) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def too_large(size: int, limit: int) -> Permanent:
    return Permanent(
        "document_too_large",
        f"The document has at least {size / 1e6:.1f} MB; MAX_DOCUMENT_MB allows {limit / 1e6:g} MB.",
    )


def _moved(place: URL, location: str) -> str:
    """Where a redirect leads. Raises :class:`trouble.Permanent`."""
    try:
        return str(place.join(URL(location)))
    except ValueError:
        raise Permanent(
            "url_not_allowed", f"{place.host} redirects to {_shown(location)!r}, which is no URL."
        ) from None


def _no_url(url: str) -> Permanent:
    return Permanent("url_not_allowed", f"{_shown(url)!r} is no URL that can be fetched.")


def _shown(url: str) -> str:
    """A URL that somebody else made, for a message."""
    return url if len(url) <= 200 else f"{url[:200]}…"


def _host(url: str) -> str:
    return URL(url, encoded=True).raw_authority


def _sorted(url: str, error: Exception) -> Permanent | Transient:
    # aiohttp wraps what the resolver raises.
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Permanent):
            return seen
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        return Permanent(
            "document_not_readable", f"{_host(url)} has a certificate that cannot be trusted: {error}"
        )
    if isinstance(error, ValueError):  # aiohttp.InvalidURL is one; so was a certificate's fault
        return _no_url(url)
    return Transient("source_unavailable", f"{_host(url)} cannot be reached: {error}")


def _raise_for_status(url: str, status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:
        return
    if status in {404, 410}:
        raise Permanent("document_not_found", f"{_host(url)} answers {status}: there is no such document.")
    if status in {408, 425, 429} or status >= 500:
        wait = headers.get("Retry-After", "")
        after = float(wait) if wait.isdecimal() else None
        raise Transient("source_unavailable", f"{_host(url)} answers {status}.", after)
    raise Permanent("document_not_readable", f"{_host(url)} answers {status}.")
