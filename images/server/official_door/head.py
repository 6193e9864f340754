"""Requests as they come over a connection: their heads, and where their bodies end.

Strict, for the server behind this must not see another request in the same bytes: whatever two readers might read in two
ways is refused.
"""

import re
from collections.abc import Callable, Generator
from typing import NamedTuple

HEAD_BYTES = 400 * 1024  # as the embedded server
_LINE_BYTES = 1024
_START = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;[^\r\n]*)?\r\n")


class Malformed(Exception):
    """The bytes are no request, or might be read as another one; `status` is what HTTP answers."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Head(NamedTuple):
    method: str
    target: str
    #: By name in lower case; values of a repeated one are joined by a comma.
    headers: dict[str, str]
    is_1_0: bool
    #: Bytes; None: it comes in chunks.
    length: int | None


def read(raw: bytes) -> Head:
    """The head, without the empty line that ends it. Raises Malformed."""
    first, *lines = raw.split(b"\r\n")
    start = _START.fullmatch(first)
    if start is None:
        raise Malformed(400, "The request is no HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed(400, f"{line[:60]!r} is no header.")
        name, value = field[1].decode().lower(), field[2].decode("latin-1").rstrip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(start[1].decode(), start[2].decode(), headers, start[3] == b"0", _length(headers))


def _length(headers: dict[str, str]) -> int | None:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise Malformed(400, "The body has two lengths, or an encoding that is not known here.")
        return None
    if length is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,15}", length):
        raise Malformed(400, f"{length[:40]!r} is no length of a body.")
    return int(length)


class Requests:
    """Cuts a client's bytes into requests, and hands them to `take`: each head with its bytes, once `look` has not
    raised; then the body, in the pieces that it came in."""

    def __init__(self, look: Callable[[Head], None], take: Callable[[bytes], None]) -> None:
        self._buffer = bytearray()
        self._look = look
        self._take = take
        self._cutting = self._cut()

    def feed(self, data: bytes) -> None:
        """Raises Malformed, and whatever `look` raises; nothing can be fed after that."""
        self._buffer += data
        next(self._cutting)

    def _cut(self) -> Generator[None]:
        """Yields for want of more."""
        buffer = self._buffer
        while True:
            while buffer[:2] == b"\r\n":
                del buffer[:2]
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                if len(buffer) > HEAD_BYTES:
                    raise Malformed(431, f"The request's head has over {HEAD_BYTES} bytes.")
                yield
                while buffer[:2] == b"\r\n":
                    del buffer[:2]
            raw = bytes(buffer[:end])
            del buffer[: end + 4]
            head = read(raw)
            self._look(head)
            self._take(raw + b"\r\n\r\n")
            yield from self._chunks() if head.length is None else self._body(head.length)

    def _body(self, size: int) -> Generator[None]:
        buffer = self._buffer
        while size:
            if not buffer:
                yield
            piece = bytes(buffer[:size])
            del buffer[:size]
            size -= len(piece)
            if piece:
                self._take(piece)

    def _chunks(self) -> Generator[None]:
        while True:
            line = yield from self._line()
            found = _SIZE.fullmatch(line)
            if found is None:
                raise Malformed(400, f"{line[:40]!r} is no size of a chunk.")
            self._take(line)
            size = int(found[1], 16)
            if size == 0:
                break
            yield from self._body(size)
            end = yield from self._line()
            if end != b"\r\n":
                raise Malformed(400, "A chunk is longer than it says.")
            self._take(end)
        while True:
            line = yield from self._line()
            self._take(line)
            if line == b"\r\n":
                return

    def _line(self) -> Generator[None, None, bytes]:
        buffer = self._buffer
        while (end := buffer.find(b"\r\n")) < 0:
            if len(buffer) > _LINE_BYTES:
                break
            yield
        if not 0 <= end <= _LINE_BYTES:
            raise Malformed(400, "A line between chunks is too long.")
        line = bytes(buffer[: end + 2])
        del buffer[: end + 2]
        return line
