"""JSON read as `serde_json` reads it, for its errors: what is wrong, and at which line and column.

Slow and only for requests that are refused anyway. Source: serde_json 1.0 `de.rs` and `read.rs`; the order in
which it looks at things decides which of several errors is reported, and where.
"""

from collections.abc import Callable
from typing import Any, NoReturn

EOF_VALUE = "EOF while parsing a value"
EOF_LIST = "EOF while parsing a list"
EOF_OBJECT = "EOF while parsing an object"
EOF_STRING = "EOF while parsing a string"
DEPTH = 128
DIGITS = b"0123456789"
ESCAPES = {
    b'"': '"', b"\\": "\\", b"/": "/", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t",
}  # fmt: skip


class Invalid(Exception):
    """The text is not what it should be; the message has no place in it yet."""


class Misplaced(Invalid):
    """The same, with line and column in the message."""


class Reader:
    """Bytes, and how far they were read."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._depth = DEPTH
        self._ignoring = False

    # Errors.

    def fail(self, message: str, peeked: bool = False) -> NoReturn:
        """Raises the error, at the byte read last, or at the one looked at next."""
        at = min(len(self._body), self._at + 1) if peeked else self._at
        before = self._body[:at]
        line = before.count(b"\n") + 1
        raise Misplaced(f"{message} at line {line} column {at - (before.rfind(b'\n') + 1)}")

    def place[T](self, read: Callable[[], T]) -> T:
        """What `read` reads; an error of its without a place is here."""
        try:
            return read()
        except Misplaced:
            raise
        except Invalid as error:
            self.fail(str(error))

    # Bytes.

    def peek(self) -> bytes:
        """The next byte that is no blank, unread; empty at the end."""
        body = self._body
        while self._at < len(body) and body[self._at] in b" \n\t\r":
            self._at += 1
        return body[self._at : self._at + 1]

    def next(self) -> bytes:
        """The next byte, whatever it is."""
        found = self._body[self._at : self._at + 1]
        self._at += len(found)
        return found

    def eat(self) -> None:
        self._at += 1

    def end(self) -> None:
        """Nothing may follow."""
        if self.peek():
            self.fail("trailing characters", peeked=True)

    # Values.

    def value(self) -> Any:
        """Any value."""
        first = self.peek()
        if not first:
            self.fail(EOF_VALUE, peeked=True)
        if first == b"[":
            return self.nested(self._items, self.end_list)
        if first == b"{":
            return self.nested(self._object, self.end_object)
        return self.place(self._scalar)

    def ignore(self) -> None:
        """Any value nobody asked for: as deep as it likes, and what its strings mean is not looked at."""
        depth, self._depth, self._ignoring = self._depth, 100_000, True
        self.value()
        self._depth, self._ignoring = depth, False

    def scalar_or_shape(self) -> Any:
        """The value that stands where another was expected: a list or an object is not read, `[]` and `{}`
        stand for it."""
        first = self.peek()
        return [] if first == b"[" else {} if first == b"{" else self._scalar()

    def nested[T](self, read: Callable[[], T], end: Callable[[], None]) -> T:
        """A list or an object, begun and ended."""
        self._depth -= 1
        if self._depth == 0:
            self.fail("recursion limit exceeded", peeked=True)
        self.eat()
        error: Invalid | None = None
        result: T | None = None
        try:
            result = read()
        except Invalid as raised:
            error = raised
        self._depth += 1
        try:
            end()
        except Misplaced:
            if error is None:
                raise
        if error is not None:
            if isinstance(error, Misplaced):
                raise error
            self.fail(str(error))
        return result  # type: ignore[return-value]

    def keys(self) -> "Keys":
        """The keys of an object begun; the reader of the loop's body reads each value."""
        return Keys(self)

    def elements(self) -> "Elements":
        """The same for the items of a list."""
        return Elements(self)

    def end_object(self) -> None:
        found = self.peek()
        if found == b"}":
            self.eat()
        elif found == b",":
            self.fail("trailing comma", peeked=True)
        else:
            self.fail("trailing characters" if found else EOF_OBJECT, peeked=True)

    def end_list(self) -> None:
        found = self.peek()
        if found == b"]":
            self.eat()
        elif found == b",":
            self.eat()
            self.fail("trailing comma" if self.peek() == b"]" else "trailing characters", peeked=True)
        else:
            self.fail("trailing characters" if found else EOF_LIST, peeked=True)

    def string(self) -> str:
        """The rest of a string, its first quote read."""
        start = self._at
        out: list[bytes] = []
        while True:
            found = self.next()
            if not found:
                self.fail(EOF_STRING)
            if found == b'"':
                out.append(self._body[start : self._at - 1])
                if self._ignoring:
                    return ""
                try:
                    return b"".join(out).decode()
                except UnicodeDecodeError:
                    self.fail("invalid unicode code point")
            elif found == b"\\":
                out.append(self._body[start : self._at - 1])
                out.append(self._escape().encode())
                start = self._at
            elif found < b" ":
                self.fail("control character (\\u0000-\\u001F) found while parsing a string")

    def word(self, rest: bytes) -> None:
        """The rest of `null`, `true` or `false`."""
        for expected in rest:
            found = self.next()
            if not found:
                self.fail(EOF_VALUE)
            if found[0] != expected:
                self.fail("expected ident")

    def _object(self) -> dict[str, Any]:
        found = {}
        keys = self.keys()
        for key in keys:
            keys.colon()
            found[key] = self.value()
        return found

    def _items(self) -> list[Any]:
        return [self.value() for _ in self.elements()]

    def _scalar(self) -> Any:
        first = self.peek()
        for word, value in ((b"null", None), (b"true", True), (b"false", False)):
            if first == word[:1]:
                self.eat()
                self.word(word[1:])
                return value
        if first == b'"':
            self.eat()
            return self.string()
        if first and first in b"-0123456789":
            return self._number()
        return self.fail("expected value", peeked=True)

    def _number(self) -> int | float:
        start = self._at
        if self._body[self._at : self._at + 1] == b"-":
            self.eat()
        first = self.next()
        if not first:
            self.fail(EOF_VALUE)
        if first not in DIGITS:
            self.fail("invalid number")
        if first == b"0" and self._digit():
            self.fail("invalid number", peeked=True)
        self._digits()
        whole = True
        if self._body[self._at : self._at + 1] == b".":
            whole = False
            self.eat()
            if not self._digit():
                self.fail("invalid number" if self._at < len(self._body) else EOF_VALUE, peeked=True)
            self._digits()
        if self._body[self._at : self._at + 1] in (b"e", b"E"):
            whole = False
            self._exponent(any(digit in b"123456789" for digit in self._body[start : self._at]))
        text = self._body[start : self._at]
        if whole and (-(2**63) <= int(text) < 2**64) and text != b"-0":
            return int(text)
        number = float(text)
        if number in (float("inf"), float("-inf")):
            self.fail("number out of range")
        return number

    def _exponent(self, significant: bool) -> None:
        self.eat()
        positive = self._body[self._at : self._at + 1] != b"-"
        if self._body[self._at : self._at + 1] in (b"+", b"-"):
            self.eat()
        found = self.next()
        if not found:
            self.fail(EOF_VALUE)
        if found not in DIGITS:
            self.fail("invalid number")
        exponent = int(found)
        while self._digit():
            exponent = exponent * 10 + int(self.next())
            if exponent >= 2**31 and positive and significant:
                self.fail("number out of range")

    def _digit(self) -> bool:
        found = self._body[self._at : self._at + 1]
        return bool(found) and found in DIGITS

    def _digits(self) -> None:
        while self._digit():
            self.eat()

    def _escape(self) -> str:
        found = self.next()
        if not found:
            self.fail(EOF_STRING)
        if found in ESCAPES:
            return ESCAPES[found]
        if found != b"u":
            self.fail("invalid escape")
        first = self._hex()
        if self._ignoring:
            return ""
        if 0xDC00 <= first <= 0xDFFF:
            self.fail("lone leading surrogate in hex escape")
        if not 0xD800 <= first <= 0xDBFF:
            return chr(first)
        for expected in (b"\\", b"u"):
            if self._at >= len(self._body):
                self.fail(EOF_STRING)
            self.eat()
            if self._body[self._at - 1 : self._at] != expected:
                self.fail("unexpected end of hex escape")
        second = self._hex()
        if not 0xDC00 <= second <= 0xDFFF:
            self.fail("lone leading surrogate in hex escape")
        return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))

    def _hex(self) -> int:
        digits = self._body[self._at : self._at + 4]
        if len(digits) < 4:
            self._at = len(self._body)
            self.fail(EOF_STRING)
        self._at += 4
        try:
            if digits.strip(b"0123456789abcdefABCDEF"):
                raise ValueError
            return int(digits, 16)
        except ValueError:
            self.fail("invalid escape")


class Keys:
    """Iterates the keys of an object; between two, the value must be read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._first = True

    def __iter__(self) -> "Keys":
        return self

    def __next__(self) -> str:
        reader = self._reader
        found = reader.peek()
        if not found:
            reader.fail(EOF_OBJECT, peeked=True)
        if found == b"}":
            raise StopIteration
        if not self._first:
            if found != b",":
                reader.fail("expected `,` or `}`", peeked=True)
            reader.eat()
            found = reader.peek()
            if not found:
                reader.fail(EOF_VALUE, peeked=True)
            if found == b"}":
                reader.fail("trailing comma", peeked=True)
        self._first = False
        if found != b'"':
            reader.fail("key must be a string", peeked=True)
        reader.eat()
        return reader.string()

    def colon(self) -> None:
        """What stands between a key and its value."""
        found = self._reader.peek()
        if found != b":":
            self._reader.fail("expected `:`" if found else EOF_OBJECT, peeked=True)
        self._reader.eat()


class Elements:
    """Iterates the items of a list; each must be read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._first = True

    def __iter__(self) -> "Elements":
        return self

    def __next__(self) -> None:
        reader = self._reader
        found = reader.peek()
        if not found:
            reader.fail(EOF_LIST, peeked=True)
        if found == b"]":
            raise StopIteration
        if not self._first:
            if found != b",":
                reader.fail("expected `,` or `]`", peeked=True)
            reader.eat()
            found = reader.peek()
            if not found:
                reader.fail(EOF_VALUE, peeked=True)
            if found == b"]":
                reader.fail("trailing comma", peeked=True)
        self._first = False
