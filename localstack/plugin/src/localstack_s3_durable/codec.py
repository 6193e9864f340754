"""Attributes of LocalStack's objects as JSON, and back. Dates keep their microseconds and their offset."""

import json
from datetime import datetime
from typing import Any

_DATE = "$date"


def _encode(value: object) -> object:
    if isinstance(value, datetime):
        return {_DATE: value.isoformat()}
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be kept; only text, numbers and dates can."
    )


def _decode(value: dict[str, Any]) -> Any:
    return datetime.fromisoformat(value[_DATE]) if _DATE in value else value


_encoder = json.JSONEncoder(default=_encode, ensure_ascii=False, separators=(",", ":"), check_circular=False)
_decoder = json.JSONDecoder(object_hook=_decode)
_plain = json.JSONDecoder()


def dumps(value: dict[str, Any]) -> str:
    """JSON of the attributes. Raises TypeError for what has none."""
    return _encoder.encode(value)


def loads(text: str) -> dict[str, Any]:
    """The attributes again. What has no dates, most objects, takes the faster way."""
    decoder = _decoder if _DATE in text else _plain
    value: dict[str, Any] = decoder.decode(text)
    return value
