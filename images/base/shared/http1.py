"""Reads HTTP/1.1, strictly, for all our servers and clients that use no framework.

Bytes that two programs could read as two different requests are refused with 400, so that nobody can hide a request from
a proxy: https://datatracker.ietf.org/doc/html/rfc9112#section-11.2. The parser is llhttp (`httptools`). It refuses most of
them itself (a repeated or malformed `Content-Length`, one beside `Transfer-Encoding`, bad chunk sizes, folded headers,
bare line feeds, NUL), and the checks here refuse the rest. tests/unit/server/test_smuggling.py tries each case at each
server.
"""

import httptools

#: The most bytes of a request line with its headers, and of chunk sizes or trailers after a body. As in v0.9.8.
HEAD_BYTES = 400 * 1024


class Malformed(Exception):
    """What came is not HTTP/1.1, or could be read in two ways. `status` is what a client is answered."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Messages:
    """What requests and responses have in common. The methods that begin with `on_` are called by the parser."""

    head_bytes = HEAD_BYTES
    _parser: httptools.HttpRequestParser | httptools.HttpResponseParser

    def __init__(self) -> None:
        #: By name in lower case; the values of a repeated one are joined by a comma. Without trailers.
        self.headers: dict[str, str] = {}
        self.version = ""
        #: The other side has announced that this is its last message: what follows is not read.
        self.is_last = False
        self._fields: dict[str, str] = {}
        #: Bytes read since the last piece of a body.
        self._bodiless = 0

    # For subclasses.

    def begun(self) -> None:
        """The head was read. May raise Malformed."""

    def piece(self, data: bytes) -> None:
        """A piece of the body."""

    def complete(self) -> None:
        """The message was read to its end."""

    # From the connection.

    def feed(self, data: bytes) -> None:
        """Reads the next bytes. Raises Malformed, and what a subclass raises; then nothing more may be fed."""
        if self.is_last:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._upgrade(data[stopped.args[0] :])
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            if not self.is_last:
                raise Malformed(400, f"This is not HTTP/1.1: {error}.") from None
        self._bodiless += len(data)
        if self._bodiless > self.head_bytes:
            raise Malformed(431, f"Headers may have {self.head_bytes} bytes here, all together.")

    def _upgrade(self, rest: bytes) -> None:
        raise Malformed(400, "Another protocol is spoken here than HTTP/1.1.")

    # From the parser.

    def on_message_begin(self) -> None:
        self._fields = {}
        self._bodiless = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in self._fields:
            text = f"{self._fields[key]}, {text}"
        self._fields[key] = text

    def on_headers_complete(self) -> None:
        # The parser reports trailers as headers, too: they go into another dictionary, which nobody reads.
        self.headers, self._fields = self._fields, {}
        self.version = self._parser.get_http_version()
        if self.version not in ("1.1", "1.0"):
            raise Malformed(400, f"HTTP/{self.version} is not spoken here, but HTTP/1.1.")
        coding = self.headers.get("transfer-encoding")
        if coding is not None and (coding.strip().lower() != "chunked" or self.version == "1.0"):
            raise Malformed(400, f"Transfer-Encoding {coding!r} is not known in HTTP/{self.version} here.")

    def on_body(self, data: bytes) -> None:
        self._bodiless = 0
        self.piece(data)

    def on_message_complete(self) -> None:
        self.is_last = not self._parser.should_keep_alive()
        self.complete()


class Requests(_Messages):
    """Cuts a client's bytes into requests."""

    _parser: httptools.HttpRequestParser

    def __init__(self) -> None:
        super().__init__()
        self._parser = httptools.HttpRequestParser(self)
        self.method = ""
        self.target = b""
        self._upgrading = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.target = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.method = self._parser.get_method().decode()
        if self.method == "CONNECT":
            raise Malformed(400, "CONNECT is not served here: this is no proxy.")
        if "upgrade" in self.headers and self._parser.should_upgrade():
            self._upgrading = True
        else:
            self.begun()

    def on_message_complete(self) -> None:
        if not self._upgrading:
            super().on_message_complete()

    def _upgrade(self, rest: bytes) -> None:
        """The client has offered to switch to another protocol: it is answered as if it had not.

        The parser stops at the end of such a request's headers. A new parser reads it again without `Upgrade`.
        """
        del self.headers["upgrade"]
        head = compose_head(
            f"{self.method} {self.target.decode('latin-1')} HTTP/{self.version}", self.headers
        )
        self._upgrading = False
        self._parser = httptools.HttpRequestParser(self)
        self.feed(head + rest)


class Responses(_Messages):
    """Cuts a server's bytes into responses; interim ones (100 Continue) are skipped."""

    _parser: httptools.HttpResponseParser

    def __init__(self) -> None:
        super().__init__()
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.status = self._parser.get_status_code()
        has_body = self.status >= 200 and self.status not in (204, 304)
        if has_body and "content-length" not in self.headers and "transfer-encoding" not in self.headers:
            raise Malformed(400, "A response comes without its length.")
        self.begun()

    def on_message_complete(self) -> None:
        if self.status >= 200:
            super().on_message_complete()


def compose_head(start: str, headers: dict[str, str]) -> bytes:
    """A message's head, ready to send."""
    lines = [start, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
