"""What is a valid request, and the words for what is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded_server.decoding import BadEnvelope, decode, read_envelope
from embedded_server.protocol import REQUESTS, PromiseValue, Refusal, RequestEnvelope, envelope, payload


def refusal(kind: str, data: Any) -> str:
    with pytest.raises(Refusal) as raised:
        decode(REQUESTS[kind], json.dumps(data).encode())
    assert raised.value.status == 400
    return raised.value.message


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("promise.get", {}, "Object missing required field `id`"),
        ("promise.get", {"id": ""}, "Expected `str` of length >= 1 - at `$.id`"),
        ("promise.get", {"id": 5}, "Expected `str`, got `int` - at `$.id`"),
        ("promise.get", {"id": 2**64}, "Expected `str`, got `float` - at `$.id`"),
        ("promise.create", {"id": "a"}, "Object missing required field `timeoutAt`"),
        ("promise.create", {"id": "a", "timeoutAt": -1}, "Expected `int` >= 0 - at `$.timeoutAt`"),
        (
            "promise.create",
            {"id": "a", "timeoutAt": 2**63},
            f"Expected `int` <= {2**63 - 1} - at `$.timeoutAt`",
        ),
        ("promise.create", {"id": "a", "timeoutAt": 1.0}, "Expected `int`, got `float` - at `$.timeoutAt`"),
        (
            "promise.create",
            {"id": "a", "timeoutAt": 1, "param": None},
            "Expected `object`, got `null` - at `$.param`",
        ),
        (
            "promise.create",
            {"id": "a", "timeoutAt": 1, "tags": {"x": 1}},
            "Expected `str`, got `int` - at `$.tags[...]`",
        ),
        (
            "promise.settle",
            {"id": "a", "state": "done"},
            "Expected one of rejected, rejected_canceled, resolved, got 'done' - at `$.state`",
        ),
        (
            "task.suspend",
            {"id": "a", "version": 1, "actions": []},
            "Expected `array` of length >= 1 - at `$.actions`",
        ),
        ("task.acquire", {"id": "x", "version": 0, "pid": "p", "ttl": 0}, "Expected `int` >= 1 - at `$.ttl`"),
        ("task.release", ["a"], "List has no item for `version` - at `$`"),
        ("task.release", ["a", 1, 2], "Expected 2 items at most, got 3 - at `$`"),
        ("task.release", ["a", "1"], "Expected `int`, got `str` - at `$.version`"),
    ],
)
def test_a_refusal_names_the_field_what_is_expected_and_what_was_found(
    kind: str, data: Any, message: str
) -> None:
    assert refusal(kind, data) == f"Invalid request: {message}"


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (
            "promise.create",
            {"id": "a\0", "timeoutAt": 1},
            "Promise ID must not contain null bytes",
        ),
        (
            "promise.register_callback",
            {"awaited": "a", "awaiter": "a"},
            "Awaited and awaiter must be different promises",
        ),
    ],
)
def test_a_rule_about_several_fields_says_itself_what_is_wrong(kind: str, data: Any, message: str) -> None:
    assert refusal(kind, data) == message


def test_a_list_in_place_of_an_object_is_taken() -> None:
    found: Any = decode(REQUESTS["task.release"], b'["a", 3]')
    assert (found.id, found.version) == ("a", 3)
    found = decode(REQUESTS["promise.create"], b'{"id": "a", "timeoutAt": 1, "param": [{"h": "1"}, "x"]}')
    assert found.param == PromiseValue({"h": "1"}, "x")


def test_a_word_may_be_an_objects_only_key() -> None:
    found: Any = decode(REQUESTS["promise.settle"], b'{"id": "a", "state": {"resolved": null}}')
    assert found.state == "resolved"
    assert "Expected one of" in refusal("promise.settle", {"id": "a", "state": {"resolved": 1}})


@pytest.mark.parametrize(
    ("body", "kind", "corr", "message"),
    [
        (b"", "unknown", "0", "Input data was truncated"),
        (b"nul", "unknown", "0", "Input data was truncated"),
        (b'{"kind":"x",}', "unknown", "0", "JSON is malformed: trailing comma in object (byte 12)"),
        (b"{}", "unknown", "0", "Object missing required field `kind`"),
        (b'{"kind":"x"}', "x", "0", "Object missing required field `head`"),
        (
            b'{"kind":"x","head":{"corrId":"c"},"data":{}}',
            "x",
            "c",
            "missing required field `version` - at `$.head`",
        ),
        (b'{"kind":5,"head":{"corrId":"c"}}', "unknown", "c", "Expected `str`, got `int` - at `$.kind`"),
        (b"[1]", "unknown", "0", "List has no item for `head` - at `$`"),
        (b'"x"', "unknown", "0", "Expected `object`, got `str`"),
        (
            b'{"kind":"x","head":{"corrId":"c","version":""},"data":%s}'
            % (b'{"a":' * 127 + b"1" + b"}" * 127),
            "unknown",
            "0",
            "more than 127 objects and lists are nested",
        ),
    ],
)
def test_what_is_no_request_is_said_so(body: bytes, kind: str, corr: str, message: str) -> None:
    with pytest.raises(BadEnvelope) as raised:
        read_envelope(body)
    error = raised.value
    assert (error.status, error.kind, error.corr) == (400, kind, corr)
    assert error.message.startswith("Invalid request envelope: ")
    assert message in error.message


def test_an_envelope_may_be_a_list() -> None:
    found = read_envelope(b'["promise.get", ["c", "2026-04-01", null, 5], {"id": "a"}]')
    assert (found.kind, found.head.corrId, found.head.debug_time) == ("promise.get", "c", 5)
    assert json.loads(bytes(found.data)) == {"id": "a"}


def test_127_objects_may_be_nested() -> None:
    body = b'{"kind":"x","head":{"corrId":"c","version":""},"data":%s,"extra":%s}'
    deep = b'{"a":' * 126 + b'"}{"' + b"}" * 126
    assert read_envelope(body % (deep, b"[" * 300 + b"]" * 300)).kind == "x"


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
    found: RequestEnvelope | str
    try:
        found = read_envelope(body)
    except BadEnvelope as error:
        found = error.message
    assert isinstance(found, RequestEnvelope) or found.startswith("Invalid request envelope: ")


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
