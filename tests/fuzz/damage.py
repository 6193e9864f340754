"""Damages bytes at random; the same seed always causes the same damage. Standard library only, because it also runs
inside an image.
"""

import json
import random
from copy import deepcopy
from typing import Any

#: Byte sequences that have broken parsers before.
WORDS = [
    b"\0", b"\r\n", b"\n", b"\r\n\r\n",
    b"%00", b"%", b"../", b"..%2f", b"//", b"\\", b"'", b'"', b"{", b"}", b"[", b"]", b",", b":",
    b"-1", b"0", b"1e999", b"NaN", b"-0", b"9" * 40, b"18446744073709551616", b"null", b"true", b"\xff\xfe",
    b"\xc0\xaf",
    b"\\ud800", b"\\u0000", b"\xf0\x9f\x92\xa9", b"A" * 300, b"A" * 9000, b"[" * 3000, b'{"a":' * 1500, b" " * 2000,
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity, chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Host: \r\n", b"Cookie: " + b"a=b;" * 400 + b"\r\n",
    b"X-Amz-Invocation-Type: Event\r\n", b"X-Amz-Log-Type: Tail\r\n", b"X-Amz-Client-Context: e30=\r\n",
    b"HTTP/1.0", b"HTTP/9.9", b"PRI * HTTP/2.0", b"ffffffffffffffff\r\n", b"0\r\n\r\n",
]  # fmt: skip


def damage(whole: bytes, chance: random.Random, words: list[bytes] = WORDS) -> bytes:
    """Damage the data in one to six places: change bits or bytes, remove, repeat or move slices, insert words."""
    broken = bytearray(whole)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(broken) + 1)
        end = min(len(broken), at + chance.choice((1, 2, 4, 16, 200)))
        kind = chance.randrange(7)
        if kind == 0 and at < len(broken):
            broken[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(broken):
            broken[at] = chance.randrange(256)
        elif kind == 2:
            del broken[at:end]
        elif kind == 3:
            broken[at:at] = broken[at:end] * chance.choice((1, 2, 50))
        elif kind == 4:
            to = chance.randrange(len(broken) + 1)
            broken[to:to] = broken[at:end]
        elif kind == 5:
            broken[at:end] = chance.choice(words)
        else:
            broken[at:at] = chance.choice(words)
    if chance.random() < 0.05:
        del broken[chance.randrange(len(broken) + 1) :]
    return bytes(broken)


#: Values of unexpected types and sizes.
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**18, -(2**63), 2**63, 2**64, 1e300, "", " ", "\0", "a\nb", "ä", "\U0001f4a9", "\ud800",
    "../x",
    "a" * 200, "b" * 70_000, "s3://", "s3:///", "s3://documents/../x", "https://", "https://[::1]/", "http://127.0.0.1/", "file:///etc/passwd",
    "javascript:1", [], {}, [[]], [None] * 300, {"": ""}, {"a": {"a": {"a": {}}}}, {"__class__": "x"}, "e30=",
    "=", "poll://any@x", "NaN",
]  # fmt: skip


def damage_json(whole: bytes, chance: random.Random) -> bytes:
    """The document with one to three of its values replaced, removed, duplicated or renamed."""
    document = json.loads(whole)
    for _ in range(chance.choice((1, 1, 2, 3))):
        if not isinstance(document, dict | list) or not document:
            return json.dumps(chance.choice(ODD)).encode()
        place, key = document, _key(document, chance)
        while isinstance(place[key], dict | list) and place[key] and chance.random() < 0.7:
            place = place[key]
            key = _key(place, chance)
        kind = chance.random()
        if kind < 0.7:
            # A copy, because later damage may change it, and the original is shared.
            place[key] = deepcopy(chance.choice(ODD))
        elif kind < 0.85:
            del place[key]
        elif isinstance(place, dict):
            place[chance.choice(("", "id", "x" * 100, str(key).upper(), "ä"))] = deepcopy(place[key])
        else:
            place.append(deepcopy(place[key]))
    return json.dumps(document).encode()


def _key(place: Any, chance: random.Random) -> Any:
    return chance.choice(sorted(place)) if isinstance(place, dict) else chance.randrange(len(place))
