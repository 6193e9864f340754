"""Text in any encoding: by its byte order mark, as UTF-16 or UTF-8, as declared, else the guess of charset-normalizer."""

from __future__ import annotations

import codecs

from charset_normalizer import from_bytes

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 18
#: UTF-16 without a byte order mark is recognized by zeroes: in Latin text every second byte is mostly zero.
_ZEROES = 0.3


def decode(data: bytes, declared: str | None = None) -> str:
    """The bytes as text. Never fails: bytes that fit no encoding become U+FFFD."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    sample = data[:_SAMPLE]
    for encoding in filter(None, (_wide(sample), "utf-8", declared)):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    best = from_bytes(sample).best()
    return data.decode(best.encoding if best else "cp1252", errors="replace")


def _wide(sample: bytes) -> str | None:
    pairs = len(sample) // 2
    if pairs < 2 or b"\0" not in sample:
        return None
    if sample[1::2].count(0) / pairs > _ZEROES:
        return "utf-16-le"
    if sample[0::2].count(0) / pairs > _ZEROES:
        return "utf-16-be"
    return None
