"""Sends raw bytes to a port and reports the outcome."""

import contextlib
import json
import random
import re
import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from fuzz.damage import damage, damage_json
from harness.machine import ROOT

#: Longer than the slowest answer of any door (30 s for a body that does not arrive).
PATIENCE_SECONDS = 45.0
#: If an answer takes longer than this, the request counts as incomplete.
UNFINISHED_SECONDS = 3.0
_STATUS = re.compile(rb"HTTP/[01]\.[019] (\d{3}) ")


@dataclass(frozen=True)
class Request:
    """A request as a client would send it; the connection is closed after the answer."""

    method: str
    path: bytes
    body: bytes
    headers: dict[str, str]

    def __bytes__(self) -> bytes:
        given = {"Host": "localhost", "Connection": "close", **self.headers}
        if self.body:
            given |= {"Content-Length": str(len(self.body)), "Content-Type": "application/json"}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
        return self.method.encode() + b" " + self.path + f" HTTP/1.1\r\n{lines}\r\n".encode() + self.body


def request(method: str, path: str, body: object = b"", **headers: str) -> Request:
    """`body`: bytes, or what becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path.encode(), data, headers)


def damaged(whole: Request, chance: random.Random) -> bytes:
    """The request with damage in its JSON, in its body, in its path, or anywhere."""
    kind = chance.random()
    if kind < 0.4 and whole.body:
        return bytes(replace(whole, body=damage_json(whole.body, chance)))
    if kind < 0.55 and whole.body:
        return bytes(replace(whole, body=damage(whole.body, chance)))
    if kind < 0.7:
        return bytes(replace(whole, path=quote(damage(whole.path, chance)[:4000], safe="/?&=%:$").encode()))
    return damage(bytes(whole), chance)


@dataclass
class Report:
    """The outcomes of the inputs; `failed` holds each input with a wrong outcome."""

    statuses: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        said = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return f"{self.statuses.total()} inputs ({said}), {len(self.failed)} failed"

    def keep(self, name: str) -> str:
        """Write the failed inputs to dist/fuzz; returns the message about them."""
        folder = ROOT / "dist" / "fuzz"
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, (why, data) in enumerate(self.failed[:20]):
            file = folder / f"{name.replace(' ', '-')}-{number}"
            file.write_bytes(data)
            lines.append(f"{why}: {file}: {data[:200]!r}")
        return "\n".join([str(self), *lines])


def send(port: int, data: bytes) -> bytes:
    """The whole answer. Raises TimeoutError if the connection is not closed.

    A request that the damage made incomplete gets no answer: after a while we stop sending, and the server must close.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
        try:
            line.sendall(data)
            if not select.select([line], [], [], UNFINISHED_SECONDS)[0]:
                _hang_up(line)
            while True:
                line.settimeout(max(0.1, until - time.monotonic()))
                block = line.recv(1 << 16)
                if not block:
                    return bytes(answer)
                answer += block
                # The connection is kept alive: the rest of what we sent may be an incomplete request.
                if not select.select([line], [], [], UNFINISHED_SECONDS)[0]:
                    _hang_up(line)
        except (BrokenPipeError, ConnectionResetError):
            # The server closed while we were still sending: that is allowed.
            return bytes(answer)


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side closed first
        line.shutdown(socket.SHUT_WR)


def judged(answer: bytes, server_errors: frozenset[int]) -> tuple[str, str | None]:
    """A word for the statistics, and what is wrong with the answer."""
    if not answer:
        return "closed", None
    found = _STATUS.match(answer)
    if not found:
        return "no HTTP", "the answer is not HTTP"
    status = int(found[1])
    if status >= 500 and status not in server_errors:
        return str(status), f"status {status}"
    return str(status), None


def fuzz(
    port: int, seeds: Sequence[Request], count: int, seed: int, *, allowed: frozenset[int] = frozenset()
) -> Report:
    """Send `count` damaged requests from 32 clients. `allowed`: server errors that are correct answers."""
    report = Report()

    def one(number: int) -> tuple[str, str | None, bytes]:
        chance = random.Random(f"{seed}/{number}")
        data = damaged(chance.choice(seeds), chance)
        try:
            return *judged(send(port, data), allowed), data
        except TimeoutError:
            return "hang", f"the connection was not closed within {PATIENCE_SECONDS:g} s", data

    with ThreadPoolExecutor(32) as clients:
        for word, wrong, data in clients.map(one, range(count)):
            report.statuses[word] += 1
            if wrong:
                report.failed.append((wrong, data))
    return report
