"""The execution environments: found by DNS while running, one request in flight to each, the rest in a queue.

Each container of the scaled compose service is one address of the service's name. The one used last is used
first, as in AWS: few callers keep few environments warm.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

log = logging.getLogger("gateway.environments")
_LOOK_SECONDS = 1.0
#: How long an environment that refused is left alone.
REFUSED_SECONDS = 0.1
#: How long one is left alone whose connection broke: while its processes end it may still accept a connection, and then
#: the next request would be lost too.
LOST_SECONDS = 1.0


class ThrottledError(Exception):
    """No environment became free in time."""


class AbsentError(Exception):
    """There is no environment at all."""


class Environments:
    """Lends environments, by address, to one borrower each."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._known: set[str] = set()
        self._free: deque[str] = deque()
        self._lent: set[str] = set()
        self._resting: set[str] = set()
        self._waiting: deque[asyncio.Future[str]] = deque()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def busy(self) -> int:
        return len(self._lent)

    @property
    def waiting(self) -> int:
        return sum(not future.done() for future in self._waiting)

    async def look(self) -> None:
        """Asks DNS once which environments there are."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                self._host, self._port, family=socket.AF_INET, type=socket.SOCK_STREAM
            )
        except socket.gaierror:
            # There are none, or DNS does not answer: the next look may find some.
            found = []
        self.update({f"{address[4][0]!s}:{self._port}" for address in found})

    def update(self, addresses: set[str]) -> None:
        """Keeps the list. An environment that is gone is not lent again; its running request may still finish."""
        for address in self._known - addresses:
            log.info("environment %s is gone", address)
            if address in self._free:
                self._free.remove(address)
        new = addresses - self._known
        self._known = set(addresses)
        for address in sorted(new):
            log.info("environment %s is new", address)
            if address not in self._lent and address not in self._resting:
                self._offer(address)

    async def watch(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    @asynccontextmanager
    async def borrow(self, until: float) -> AsyncIterator["Loan"]:
        """An environment for one request. Waits, in turn, until the loop's time `until`. Raises
        ThrottledError.
        """
        loan = Loan(await self._take(until))
        try:
            yield loan
        finally:
            self._lent.discard(loan.address)
            if loan.rest:
                self._resting.add(loan.address)
                asyncio.get_running_loop().call_later(loan.rest, self._rested, loan.address)
            else:
                self._offer(loan.address)

    async def _take(self, until: float) -> str:
        loop = asyncio.get_running_loop()
        if self._free:
            address = self._free.pop()
            self._lent.add(address)
            return address
        if not self._known:
            await self.look()
            if self._free:
                return await self._take(until)
        future: asyncio.Future[str] = loop.create_future()
        self._waiting.append(future)
        timer = loop.call_at(until, self._give_up, future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._lent.discard(future.result())
                self._offer(future.result())
            raise
        finally:
            timer.cancel()
            self._drop_done()

    def _give_up(self, future: asyncio.Future[str]) -> None:
        if future.done():
            return
        if self._known:
            future.set_exception(ThrottledError())
        else:
            future.set_exception(
                AbsentError(f"no execution environment is running at {self._host}:{self._port}")
            )

    def _drop_done(self) -> None:
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()

    def _rested(self, address: str) -> None:
        self._resting.discard(address)
        self._offer(address)

    def _offer(self, address: str) -> None:
        if address not in self._known or address in self._lent or address in self._free:
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                self._lent.add(address)
                future.set_result(address)
                return
        self._free.append(address)


class Loan:
    """One environment, lent. Set `rest` to the seconds to leave it alone, if it refused the request or broke."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.rest = 0.0
