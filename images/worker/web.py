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
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from trouble import Permanent, Transient

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_BLOCK = 1 << 18
_AGENT = "document-processor/1"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also when it is wrapped in IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


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

    def __init__(self, *, private_hosts: Iterable[str] = ()) -> None:
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
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

    def check(self, url: str) -> None:
        """Refuse what no connection should be tried to. Raises :class:`trouble.Permanent`."""
        parts = urlsplit(url)
        known = (parts.hostname or "") in self._private_hosts
        if parts.scheme != "https" and not (known and parts.scheme == "http"):
            raise Permanent("url_not_allowed", f"{parts.scheme}:// is not allowed here, only https://.")
        try:
            (parts.hostname or "").encode("idna")
        except UnicodeError:
            raise Permanent("url_not_allowed", f"{parts.hostname} is no name that DNS can hold.") from None
        try:
            public = is_public(_plain(parts.hostname or ""))
        except ValueError:
            return  # a name, not an address: the resolver checks what it stands for
        if not public and not known:
            raise Permanent(
                "url_not_allowed", f"{parts.hostname} is a private address; this worker does not go there."
            )

    async def download(self, url: str, path: Path, *, limit: int, seconds: float) -> tuple[str, int, str]:
        """Stream a document to a file. Returns its sha256, its bytes and its declared media type."""
        try:
            async with asyncio.timeout(seconds):
                return await self._download(url, path, limit)
        except aiohttp.ServerTimeoutError as error:  # connecting, or nothing more comes
            raise Transient("source_unavailable", f"{_host(url)} is silent: {error}.") from None
        except TimeoutError:
            raise Transient("source_unavailable", f"{_host(url)} took over {seconds:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _sorted(url, error) from None

    async def _download(self, url: str, path: Path, limit: int) -> tuple[str, int, str]:
        target = url
        for _ in range(_MAX_REDIRECTS + 1):
            self.check(target)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
            async with self._open().get(
                URL(target, encoded=True), allow_redirects=False, timeout=timeout
            ) as answer:
                if answer.status in _REDIRECTS and "Location" in answer.headers:
                    target = str(answer.url.join(URL(answer.headers["Location"])))
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
        self.check(url)
        timeout = aiohttp.ClientTimeout(total=15, sock_connect=5)
        try:
            async with self._open().post(
                URL(url, encoded=True), data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as answer:
                return answer.status
        except TimeoutError:
            raise Transient("source_unavailable", f"{_host(url)} did not answer within 15 s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _sorted(url, error) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def too_large(size: int, limit: int) -> Permanent:
    return Permanent(
        "document_too_large",
        f"The document has at least {size / 1e6:.1f} MB; MAX_DOCUMENT_MB allows {limit / 1e6:g} MB.",
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _sorted(url: str, error: Exception) -> Permanent | Transient:
    # aiohttp wraps what the resolver raises.
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Permanent):
            return seen
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, aiohttp.InvalidURL):
        return Permanent("document_not_found", f"{url} is not a URL that can be fetched.")
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        return Permanent(
            "document_not_readable", f"{_host(url)} has a certificate that cannot be trusted: {error}"
        )
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
