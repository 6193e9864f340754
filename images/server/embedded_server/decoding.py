"""Decodes the bytes of a request, or raises a `Refusal` that names the field, what is expected and what was found.

`msgspec` decodes and checks in one pass. Only a request that fails is tried once more: v0.9.8 accepts a list of its
fields in place of an object, and `{"resolved": null}` in place of `"resolved"`, so both are first brought into their usual
form. Status and kind of a refusal are the same as v0.9.8's, the words are msgspec's.
"""

import json
import re
from functools import cache
from typing import Any

from msgspec import NODEFAULT, DecodeError, Raw, Struct, ValidationError, inspect
from msgspec.json import Decoder
from msgspec.json import decode as parse

from .protocol import REQUESTS, PromiseCreateData, PromiseSettleData, Refusal, RequestEnvelope

#: How many objects and lists may be nested in a request, as in v0.9.8.
DEPTH = 127

_ENVELOPE = Decoder(RequestEnvelope)
_TYPES: list[type[Struct]] = [*REQUESTS.values(), PromiseCreateData, PromiseSettleData]
_DECODERS: dict[type[Struct], Decoder[Any]] = {kind: Decoder(kind) for kind in _TYPES}
_FAILURES = (ValidationError, DecodeError, UnicodeDecodeError, RecursionError)
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class BadEnvelope(Refusal):
    """The body is not a request. `kind` and `corr` (the correlation id) are read from it if possible."""

    def __init__(self, message: str, kind: str = "unknown", corr: str = "0") -> None:
        super().__init__(400, f"Invalid request envelope: {message}")
        self.kind = kind
        self.corr = corr


def decode[T: Struct](kind: type[T], data: Raw | bytes, prefix: str = "Invalid request") -> T:
    """The data of a request. Raises Refusal."""
    try:
        return _DECODERS[kind].decode(data)  # type: ignore[no-any-return]
    except _FAILURES:
        pass
    try:
        usual = _usual(_info(kind), parse(data), "$")
        return _DECODERS[kind].decode(json.dumps(usual))  # type: ignore[no-any-return]
    except _FAILURES as error:
        rule = error.__cause__  # a rule about several fields, raised by the type itself
        raise Refusal(400, str(rule) if type(rule) is ValueError else f"{prefix}: {error}") from None


def read_envelope(body: bytes) -> RequestEnvelope:
    """The request; its data is valid JSON, but not decoded yet. Raises BadEnvelope."""
    try:
        whole = parse(body)  # checks the data as well, which `Raw` skips
    except _FAILURES as error:
        raise BadEnvelope(str(error)) from None
    try:
        envelope = _ENVELOPE.decode(body)
    except _FAILURES:
        envelope = _read_unusual(whole, body)
    if _is_deep(body) and _depth(bytes(envelope.data)) >= DEPTH:
        raise BadEnvelope(f"more than {DEPTH} objects and lists are nested in each other")
    return envelope


def _read_unusual(whole: Any, body: bytes) -> RequestEnvelope:
    try:
        return _ENVELOPE.decode(json.dumps(_usual(_info(RequestEnvelope), whole, "$")))
    except _FAILURES as error:
        found = whole if isinstance(whole, dict) and not _is_deep(body) else {}
        kind, head = found.get("kind"), found.get("head")
        corr = head.get("corrId") if isinstance(head, dict) else None
        raise BadEnvelope(
            str(error), kind if isinstance(kind, str) else "unknown", corr if isinstance(corr, str) else "0"
        ) from None


def _is_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > DEPTH and _depth(body) > DEPTH


def _depth(body: bytes) -> int:
    """How deep lists and objects are nested."""
    deepest = depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


@cache
def _info(kind: type[Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _usual(type_: inspect.Type, value: Any, place: str) -> Any:
    """The value in its usual form. Raises ValidationError where a list has the wrong length or a word is unknown."""
    match type_:
        case inspect.Metadata(type=inner):
            return _usual(inner, value, place)
        case inspect.UnionType(types=types) if value is not None:
            return _usual(types[0], value, place)
        case inspect.StructType(fields=fields) if isinstance(value, list):
            if len(value) > len(fields):
                raise ValidationError(
                    f"Expected {len(fields)} items at most, got {len(value)} - at `{place}`"
                )
            for field in fields[len(value) :]:
                if (
                    field.required or field.default is not NODEFAULT
                ):  # v0.9.8 has a default only where we have a factory
                    raise ValidationError(f"List has no item for `{field.encode_name}` - at `{place}`")
            return {
                field.encode_name: _usual(field.type, one, f"{place}[{at}]")
                for at, (field, one) in enumerate(zip(fields, value, strict=False))
            }
        case inspect.StructType(fields=fields) if isinstance(value, dict):
            known = {field.encode_name: field.type for field in fields}
            return {
                key: _usual(known[key], one, f"{place}.{key}") for key, one in value.items() if key in known
            }
        case inspect.ListType(item_type=item) if isinstance(value, list):
            return [_usual(item, one, f"{place}[{at}]") for at, one in enumerate(value)]
        case inspect.LiteralType(values=words):
            if isinstance(value, dict) and list(value.values()) == [None]:
                (value,) = value
            if value not in words:
                raise ValidationError(
                    f"Expected one of {', '.join(map(str, words))}, got {value!r} - at `{place}`"
                )
            return value
        case _:
            return value
