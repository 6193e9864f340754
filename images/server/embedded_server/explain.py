"""Why a request is refused, in v0.9.8's words (serde's and its validator's). Only failing requests come here.

The types of `protocol` are walked as serde walks them, so there is one definition of what is valid. serde
also takes a list where an object with known fields is expected; then nothing is wrong after all, and the
request is returned.
"""

from decimal import Decimal
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec import NODEFAULT, Raw, Struct, inspect
from msgspec import json as fast

from .json_errors import EOF_VALUE, Invalid, Misplaced, Reader
from .protocol import PromiseState, Refusal, RequestEnvelope, RequestHead, SettleState, TaskState

type Errors = dict[str, "list[str] | Errors | list[Errors]"]


def explain[T: Struct](kind: type[T], data: Raw | bytes, prefix: str) -> T:
    """The data as a `kind` after all, or the refusal with v0.9.8's message."""
    try:
        values = _decode(_info(kind), _limited(fast.decode(data)))
    except Invalid as error:
        raise Refusal(400, f"{prefix}: {error}") from None
    built, errors = _validate(_info(kind), values)
    if errors:
        raise Refusal(400, _text(errors))
    return built  # type: ignore[no-any-return]


def explain_envelope(body: bytes) -> tuple[RequestEnvelope | None, str, str, str]:
    """The envelope after all, or None; then the kind and correlation id as far as they can be read, and the
    message."""
    try:
        reader = Reader(body)
        envelope = _envelope(reader)
        reader.end()
        return envelope, envelope.kind, envelope.head.corrId, ""
    except Misplaced as error:
        kind, corr = _context(body)
        return None, kind, corr, f"Invalid request envelope: {error}"


# Types: serde on a parsed value.


@cache
def _info(kind: type[Struct]) -> inspect.StructType:
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)
    return found


def _plain(type_: inspect.Type) -> inspect.Type:
    return _plain(type_.type) if isinstance(type_, inspect.Metadata) else type_


def _decode(type_: inspect.Type, value: Any) -> Any:
    """The value checked for its type; a struct as a dict of its fields."""
    match _plain(type_):
        case inspect.StructType() as info:
            return _decode_struct(info, value)
        case inspect.UnionType(types=types):
            return None if value is None else _decode(types[0], value)
        case inspect.StrType():
            return value if isinstance(value, str) else _wrong(value, "a string")
        case inspect.IntType():
            if type(value) is not int:
                _wrong(value, "i64")
            if value >= 2**63:
                raise Invalid(f"invalid value: integer `{value}`, expected i64")
            return value
        case inspect.DictType():
            if not isinstance(value, dict):
                _wrong(value, "a map")
            return {key: _decode(inspect.StrType(), value[key]) for key in sorted(value)}
        case inspect.ListType(item_type=item):
            if not isinstance(value, list):
                _wrong(value, "a sequence")
            return [_decode(item, one) for one in value]
        case inspect.LiteralType(values=variants):
            return _decode_variant(_VARIANTS[frozenset(variants)], value)
        case inspect.CustomType() | inspect.RawType():
            return Raw(fast.encode(value))
        case _:
            return value


def _decode_struct(info: inspect.StructType, value: Any) -> dict[str, Any]:
    name, fields = info.cls.__name__, info.fields
    found: dict[str, Any] = {}
    if isinstance(value, dict):
        by_name = {field.encode_name: field for field in fields}
        for key in sorted(value):
            if key in by_name:
                found[by_name[key].name] = _decode(by_name[key].type, value[key])
        for field in fields:
            if field.name not in found and field.required:
                raise Invalid(f"missing field `{field.encode_name}`")
        return found
    if not isinstance(value, list):
        _wrong(value, f"struct {name}")
    for n, field in enumerate(fields):
        if n < len(value):
            found[field.name] = _decode(field.type, value[n])
        elif field.required or field.default is not NODEFAULT:  # serde's own defaults are factories here
            raise Invalid(f"invalid length {n}, expected struct {name} with {len(fields)} elements")
    if len(value) > len(fields):
        raise Invalid(f"invalid length {len(value)}, expected fewer elements in array")
    return found


#: msgspec sorts a literal's values; the message has them in their own order.
_VARIANTS = {
    frozenset(get_args(kind.__value__)): list(get_args(kind.__value__))
    for kind in (PromiseState, TaskState, SettleState)
}


def _decode_variant(variants: list[str], value: Any) -> Any:
    given = value
    if isinstance(value, dict):
        if len(value) != 1:
            raise Invalid("invalid value: map, expected map with a single key")
        given, content = next(iter(value.items()))
    elif not isinstance(value, str):
        _wrong(value, "string or map")
    if given not in variants:
        raise Invalid(f"unknown variant `{given}`, expected one of {', '.join(f'`{v}`' for v in variants)}")
    if isinstance(value, dict) and content is not None:
        _wrong(content, "unit")
    return given


def _wrong(value: Any, expected: str) -> Any:
    raise Invalid(f"invalid type: {_unexpected(value)}, expected {expected}")


def _unexpected(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{_float(value)}`"
        case str():
            return f'string "{"".join(map(_escaped, value))}"'
        case list():
            return "sequence"
        case _:
            return "map"


def _float(value: float) -> str:
    """As serde_json writes it: Python's `repr`, but for a shorter exponent, and one more digit after the
    point."""
    digits, _, exponent = repr(value).partition("e")
    if not exponent:
        return digits
    power = int(exponent)
    return f"{Decimal(repr(value)):f}" if power == -5 else f"{digits}e{power:+d}"


def _escaped(char: str) -> str:
    """As Rust's `{:?}` writes it."""
    known = {"\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    if char in known:
        return known[char]
    return char if char.isprintable() else f"\\u{{{ord(char):x}}}"


def _limited(value: Any) -> Any:
    """Integers beyond 64 bits are floats to serde."""
    if isinstance(value, dict):
        return {key: _limited(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_limited(one) for one in value]
    return float(value) if type(value) is int and not -(2**63) <= value < 2**64 else value


# Rules: the validator on what has the right types.


def _validate(info: inspect.StructType, values: dict[str, Any]) -> tuple[Any, Errors]:
    """The struct, and what is wrong with it, by field."""
    errors: Errors = {}
    built = dict(values)
    for field in info.fields:
        if field.name not in values or values[field.name] is None:
            continue
        value, type_ = values[field.name], _plain(field.type)
        message = _message(field.type, value)
        if message is not None:
            errors[field.name] = [message]
        if isinstance(type_, inspect.StructType):
            built[field.name], below = _validate(type_, value)
            if below:
                errors[field.name] = below
        elif isinstance(type_, inspect.ListType) and isinstance(type_.item_type, inspect.StructType):
            found = [_validate(type_.item_type, one) for one in value]
            built[field.name] = [one for one, _ in found]
            if wrong := [below for _, below in found if below]:
                errors[field.name] = wrong
    if errors:
        return None, errors
    try:
        return info.cls(**built), {}
    except ValueError as error:
        return None, {"__all__": [str(error)]}


def _message(type_: inspect.Type, value: Any) -> str | None:
    """A constraint's message, where the value breaks it."""
    if isinstance(type_, inspect.UnionType):
        return _message(type_.types[0], value)
    if not isinstance(type_, inspect.Metadata):
        return None
    said = (type_.extra_json_schema or {}).get("description")
    match type_.type:
        case inspect.StrType(min_length=least) | inspect.ListType(min_length=least) if least:
            return said if len(value) < least else None
        case inspect.IntType(ge=least) if least is not None and said is not None:
            return said if value < least else None
    return None


def _text(errors: Errors) -> str:
    """All messages, as v0.9.8 joins them: those of this level come twice where others stand between."""
    own = [message for found in errors.values() if _is_own(found) for message in found]
    every: list[str] = [*own]  # type: ignore[list-item]
    for found in errors.values():
        if isinstance(found, dict):
            every.append(_text(found))
        elif _is_own(found):
            every += found  # type: ignore[arg-type]
        else:
            every += [_text(one) for one in found]  # type: ignore[arg-type]
    return "; ".join(m for n, m in enumerate(every) if n == 0 or every[n - 1] != m)


def _is_own(found: Any) -> bool:
    return isinstance(found, list) and isinstance(found[0], str)


# The envelope: serde on the text, so that an error has its place.


def _envelope(reader: Reader) -> RequestEnvelope:
    found = _struct(reader, "RequestEnvelope", {"kind": _string, "head": _head, "data": Reader.value}, set())
    return RequestEnvelope(found["kind"], found["head"], Raw(fast.encode(found["data"])))


def _head(reader: Reader) -> RequestHead:
    fields = {"corrId": _string, "version": _string, "auth": _maybe_string, "resonate:debug_time": _maybe_i64}
    found = _struct(reader, "RequestHead", fields, {"auth", "resonate:debug_time"})
    return RequestHead(found["corrId"], found["version"], found.get("auth"), found.get("resonate:debug_time"))


def _struct(reader: Reader, name: str, fields: dict[str, Any], optional: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def from_object() -> None:
        keys = reader.keys()
        for key in keys:
            if key in found:
                raise Invalid(f"duplicate field `{key}`")
            keys.colon()
            if key in fields:
                found[key] = fields[key](reader)
            else:
                reader.ignore()
        for field in fields:
            if field not in found and field not in optional:
                raise Invalid(f"missing field `{field}`")

    def from_list() -> None:
        elements = reader.elements()
        for n, (field, read) in enumerate(fields.items()):
            try:
                next(elements)
            except StopIteration:
                raise Invalid(
                    f"invalid length {n}, expected struct {name} with {len(fields)} elements"
                ) from None
            found[field] = read(reader)

    first = reader.peek()
    if not first:
        reader.fail(EOF_VALUE, peeked=True)
    if first == b"{":
        reader.nested(from_object, reader.end_object)
    elif first == b"[":
        reader.nested(from_list, reader.end_list)
    else:
        reader.place(lambda: _wrong(reader.scalar_or_shape(), f"struct {name}"))
    return found


def _string(reader: Reader) -> str:
    def read() -> str:
        value = reader.scalar_or_shape()
        return value if isinstance(value, str) else _wrong(value, "a string")

    if not reader.peek():
        reader.fail(EOF_VALUE, peeked=True)
    return reader.place(read)


def _maybe_string(reader: Reader) -> str | None:
    if reader.peek() == b"n":
        _null(reader)
        return None
    return _string(reader)


def _maybe_i64(reader: Reader) -> int | None:
    def read() -> int:
        value = reader.scalar_or_shape()
        if type(value) is not int:
            _wrong(value, "i64")
        if value >= 2**63:
            raise Invalid(f"invalid value: integer `{value}`, expected i64")
        return value  # type: ignore[no-any-return]

    if reader.peek() == b"n":
        _null(reader)
        return None
    if not reader.peek():
        reader.fail(EOF_VALUE, peeked=True)
    return reader.place(read)


def _null(reader: Reader) -> None:
    reader.eat()
    reader.word(b"ull")


def _context(body: bytes) -> tuple[str, str]:
    """The kind and the correlation id of a request that is no envelope."""
    try:
        reader = Reader(body)
        raw = reader.value()
        reader.end()
    except (Invalid, msgspec.DecodeError):
        return "unknown", "0"
    kind = raw.get("kind") if isinstance(raw, dict) else None
    head = raw.get("head") if isinstance(raw, dict) else None
    corr = head.get("corrId") if isinstance(head, dict) else None
    return kind if isinstance(kind, str) else "unknown", corr if isinstance(corr, str) else "0"
