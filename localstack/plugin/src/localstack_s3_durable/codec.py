"""Attributes of LocalStack's objects as JSON, and back. Dates keep their microseconds and their offset.

JSON has no dates, so a date is written as `{"$date": "…"}`. Nothing that a client sends can look like one: each key
that begins with `$` is written with one more `$` in front, so `$date` alone is always ours.
"""

import json
from datetime import datetime
from typing import Any

_DATE = "$date"
#: Attributes whose keys clients choose. Format 1 wrote these keys as they were.
_OF_CLIENTS = ("user_metadata", "system_metadata", "tagging", "$tags")


def _refuse(value: object) -> object:
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be kept; only text, numbers and dates can."
    )


# Without ensure_ascii, text with half of a surrogate pair in it could not be written to the database.
_encoder = json.JSONEncoder(default=_refuse, separators=(",", ":"), check_circular=False)
_plain = json.JSONDecoder()


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            f"${key}" if isinstance(key, str) and key.startswith("$") else key: _marked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_marked(inner) for inner in value]
    return {_DATE: value.isoformat()} if isinstance(value, datetime) else value


def _unmarked(value: dict[str, Any]) -> Any:
    if len(value) == 1 and _DATE in value:
        return datetime.fromisoformat(value[_DATE])
    return {key[1:] if key.startswith("$") else key: inner for key, inner in value.items()}


_decoder = json.JSONDecoder(object_hook=_unmarked)


def dumps(value: dict[str, Any]) -> str:
    """The attributes as JSON. Raises TypeError for a value that JSON cannot hold."""
    return _encoder.encode(_marked(value))


def loads(text: str) -> dict[str, Any]:
    """The attributes of such JSON. Raises ValueError or TypeError for text that `dumps` has not written."""
    # Most objects have neither dates nor marked keys; this is faster for them.
    decoder = _decoder if '"$' in text else _plain
    return _attributes(decoder.decode(text))


def loads_first(text: str) -> dict[str, Any]:
    """The attributes in a row of format 1, which marked dates only: `{"$date": "…"}` may also be a client's own."""
    value = _attributes(_plain.decode(text))
    return _dated(value) if _DATE in text else value


def _dated(value: Any) -> Any:
    if isinstance(value, list):
        return [_dated(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and isinstance(text := value.get(_DATE), str):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return value
    return {name: inner if name in _OF_CLIENTS else _dated(inner) for name, inner in value.items()}


def _attributes(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"attributes are an object, and this is of type {type(value).__name__}")
    return value
