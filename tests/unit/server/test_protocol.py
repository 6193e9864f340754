"""What is valid, and the words for what is not. Every message was answered by the official server v0.9.8."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded_server.explain import explain_envelope
from embedded_server.protocol import REQUESTS, PromiseValue, Refusal, decode, envelope, payload


def refusal(kind: str, data: Any) -> str:
    with pytest.raises(Refusal) as raised:
        decode(REQUESTS[kind], json.dumps(data).encode())
    assert raised.value.status == 400
    return raised.value.message


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("promise.get", {}, "Invalid request: missing field `id`"),
        ("promise.get", {"id": ""}, "Promise ID is required"),
        ("promise.get", {"id": 5}, "Invalid request: invalid type: integer `5`, expected a string"),
        (
            "promise.get",
            {"id": 2**64},
            "Invalid request: invalid type: floating point `1.8446744073709552e+19`, expected a string",
        ),
        ("promise.create", {"id": "a"}, "Invalid request: missing field `timeoutAt`"),
        ("promise.create", {"id": "a", "timeoutAt": -1}, "TimeoutAt must be a non-negative integer"),
        (
            "promise.create",
            {"id": "a", "timeoutAt": 2**63},
            "Invalid request: invalid value: integer `9223372036854775808`, expected i64",
        ),
        (
            "promise.create",
            {"id": "a", "timeoutAt": 1.0},
            "Invalid request: invalid type: floating point `1.0`, expected i64",
        ),
        ("promise.create", {"id": "a\0", "timeoutAt": 1}, "Promise ID must not contain null bytes"),
        (
            "promise.create",
            {"id": "a", "timeoutAt": 1, "param": None},
            "Invalid request: invalid type: null, expected struct PromiseValue",
        ),
        (
            "promise.create",
            {"id": "a", "timeoutAt": 1, "tags": {"x": 1}},
            "Invalid request: invalid type: integer `1`, expected a string",
        ),
        (
            "promise.settle",
            {"id": "a", "state": "done"},
            "Invalid request: unknown variant `done`, expected one of `resolved`, `rejected`, `rejected_canceled`",
        ),
        (
            "promise.register_callback",
            {"awaited": "a", "awaiter": "a"},
            "Awaited and awaiter must be different promises",
        ),
        ("task.suspend", {"id": "a", "version": 1, "actions": []}, "Actions array cannot be empty"),
        (
            "task.search",
            {"state": True},
            "Invalid request: invalid type: boolean `true`, expected string or map",
        ),
        ("task.acquire", {"id": "a", "version": 0, "pid": "p", "ttl": 0}, "TTL must be a positive integer"),
    ],
)
def test_messages(kind: str, data: Any, message: str) -> None:
    assert refusal(kind, data) == message


def test_several_messages_at_once() -> None:
    found = refusal("task.acquire", {"id": "", "version": -1, "pid": "", "ttl": 0}).split("; ")
    assert set(found) == {
        "Task ID is required",
        "Version must be a non-negative integer",
        "Process ID is required",
        "TTL must be a positive integer",
    }


def test_a_list_in_place_of_an_object_is_taken() -> None:
    found: Any = decode(REQUESTS["task.release"], b'["a", 3]')
    assert (found.id, found.version) == ("a", 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"{}", "missing field `kind` at line 1 column 2"),
        (b'{"kind":"x"}', "missing field `head` at line 1 column 12"),
        (b"[1]", "invalid type: integer `1`, expected a string at line 1 column 2"),
        (b'{"kind":"x",}', "trailing comma at line 1 column 13"),
        (b'{"kind":"x","kind":"y"}', "duplicate field `kind` at line 1 column 18"),
        (b"nul", "EOF while parsing a value at line 1 column 3"),
        (b'\n\n"x"', 'invalid type: string "x", expected struct RequestEnvelope at line 3 column 3'),
    ],
)
def test_envelope_errors_have_their_place(body: bytes, message: str) -> None:
    assert explain_envelope(body)[3] == f"Invalid request envelope: {message}"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(kind=st.sampled_from(sorted(REQUESTS)), data=st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_whatever_is_sent_is_taken_or_refused(kind: str, data: dict[str, Any]) -> None:
    found: Any = None
    try:
        found = decode(REQUESTS[kind], json.dumps(data).encode())
    except Refusal as refusal:
        found = refusal.status, bool(refusal.message)
    assert isinstance(found, REQUESTS[kind]) or found == (400, True)


@given(st.binary(max_size=60))
def test_whatever_bytes_come_there_is_an_answer(body: bytes) -> None:
    found, _, _, message = explain_envelope(body)
    assert found is not None or " at line " in message


@given(data=st.none() | st.text(), headers=st.none() | st.dictionaries(st.text(), st.text(), max_size=3))
def test_payloads_are_written_without_what_is_absent(
    data: str | None, headers: dict[str, str] | None
) -> None:
    try:
        json.dumps([data, headers], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    found = json.loads(payload(PromiseValue(headers, data)))
    expected = {"data": data, "headers": headers}
    assert found == {name: value for name, value in expected.items() if value is not None}


def test_answer() -> None:
    body = envelope('"promise.get"', '"ü"', 404, '"Promise not found"')
    assert body.decode() == (
        '{"kind":"promise.get","head":{"corrId":"ü","status":404,"version":"2026-04-01"},"data":"Promise not found"}'
    )
