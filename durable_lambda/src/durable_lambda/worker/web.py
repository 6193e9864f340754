"""Careful use of the web: downloads from and messages to addresses that somebody else chose.

A URL in a job may point at anything that the worker can reach, the cloud's metadata service included. So names are
resolved here, every address is checked, and the connection goes to the very address that was checked; each redirect is
checked again. `PRIVATE_HOSTS` names the hosts that may be private: your own receivers and servers.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from durable_lambda import __version__
from durable_lambda.worker.trouble import Permanent, Transient

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_BLOCK = 1 << 18

#: Addresses that `is_global` wrongly counts as public: those in IANA's special-purpose registries
#: (https://www.iana.org/assignments/iana-ipv4-special-registry, …-ipv6-…) that this Python's own table lacks, and Azure's
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
#: The part of IPv6 that public hosts have: everything else is special, or not given out yet.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is public. For an IPv6 address that contains an IPv4 address, whether that one is."""
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
    """Resolves names to public addresses only, except for the hosts that may be private."""

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
    """GET for downloads, POST for webhooks. Every method raises only :class:`durable_lambda.worker.trouble.Trouble`.

    `rule` is the application's own rule on what may be downloaded. It raises ValueError for a URL that may not, also if a
    redirect leads there; the message is the end of a sentence that begins with the URL: "must not lead into …".
    """

    def __init__(
        self,
        *,
        private_hosts: Iterable[str] = (),
        rule: Callable[[str], object] = lambda url: None,
        agent: str = f"durable-lambda/{__version__}",
    ) -> None:
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
        self._rule = rule
        self._agent = agent
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = _PublicResolver(self._private_hosts)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=64, ttl_dns_cache=10),
                headers={"User-Agent": self._agent, "Accept-Encoding": "identity"},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    def check(self, url: str) -> URL:
        """The URL to connect to. It is parsed only once, so that the connection goes where the check looked.

        Raises :class:`durable_lambda.worker.trouble.Permanent` for a URL that is not allowed.
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
            if "[" in target.raw_authority:  # in brackets, but not an IPv6 address
                raise _no_url(url) from None
            return target  # a name, not an address: the resolver checks what it stands for
        if not public and not known:
            raise Permanent("url_not_allowed", f"{host} is a private address; this worker does not go there.")
        return target

    async def download(
        self, url: str, path: Path, *, limit: int, seconds: float, setting: str = "the limit"
    ) -> tuple[str, int, str]:
        """Stream what a URL leads to into a file. Returns its sha256, its bytes and its declared media type.

        `setting` is the name of the limit's setting, for the error message.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._download(url, path, limit, setting)
        except aiohttp.ServerTimeoutError as error:  # connecting, or nothing more comes
            raise Transient("unreachable", f"{_host(url)} is silent: {error}.") from None
        except TimeoutError:
            raise Transient("unreachable", f"{_host(url)} took over {seconds:g} s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _trouble_of(url, error) from None

    async def _download(self, url: str, path: Path, limit: int, setting: str) -> tuple[str, int, str]:
        target = url
        for _ in range(_MAX_REDIRECTS + 1):
            place = self.check(target)
            try:
                self._rule(target)
            except ValueError as error:
                raise Permanent("url_not_allowed", f"{_shown(target)} {error}.") from None
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
            async with self._open().get(place, allow_redirects=False, timeout=timeout) as answer:
                if answer.status in _REDIRECTS and "Location" in answer.headers:
                    target = _moved(place, answer.headers["Location"])
                    continue
                _raise_for_status(url, answer.status, answer.headers)
                if (answer.content_length or 0) > limit:
                    raise too_large(url, answer.content_length or 0, limit, setting)
                digest, size = hashlib.sha256(), 0
                with path.open("wb") as file:
                    async for block in answer.content.iter_chunked(_BLOCK):
                        size += len(block)
                        if size > limit:
                            raise too_large(url, size, limit, setting)
                        digest.update(block)
                        file.write(block)
                return digest.hexdigest(), size, answer.content_type
        raise Permanent("not_readable", f"{_host(url)} redirects more than {_MAX_REDIRECTS} times.")

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
            raise Transient("unreachable", f"{_host(url)} did not answer within 15 s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _trouble_of(url, error) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def too_large(url: str, size: int, limit: int, setting: str) -> Permanent:
    """The fault of something that has at least `size` bytes."""
    return Permanent(
        "too_large", f"{_shown(url)} has at least {size / 1e6:.1f} MB; {setting} allows {limit / 1e6:g} MB."
    )


def _moved(place: URL, location: str) -> str:
    """Where a redirect leads. Raises :class:`durable_lambda.worker.trouble.Permanent`."""
    try:
        return str(place.join(URL(location)))
    except ValueError:
        raise Permanent(
            "url_not_allowed", f"{place.host} redirects to {_shown(location)!r}, which is not a URL."
        ) from None


def _no_url(url: str) -> Permanent:
    return Permanent("url_not_allowed", f"{_shown(url)!r} is not a URL that can be fetched.")


def _shown(url: str) -> str:
    """A URL that somebody else made, short enough for a message."""
    return url if len(url) <= 200 else f"{url[:200]}…"


def _host(url: str) -> str:
    return URL(url, encoded=True).raw_authority


def _trouble_of(url: str, error: Exception) -> Permanent | Transient:
    # aiohttp wraps what the resolver raises.
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Permanent):
            return seen
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        return Permanent("not_readable", f"{_host(url)} has a certificate that cannot be trusted: {error}")
    if isinstance(error, ValueError):  # aiohttp.InvalidURL is one; so was a certificate's fault
        return _no_url(url)
    return Transient("unreachable", f"{_host(url)} cannot be reached: {error}")


def _raise_for_status(url: str, status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:
        return
    if status in {404, 410}:
        raise Permanent("not_found", f"{_host(url)} answers {status}: there is nothing there.")
    if status in {408, 425, 429} or status >= 500:
        wait = headers.get("Retry-After", "")
        after = float(wait) if wait.isdecimal() else None
        raise Transient("unreachable", f"{_host(url)} answers {status}.", after)
    raise Permanent("not_readable", f"{_host(url)} answers {status}.")
