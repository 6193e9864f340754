"""A function's result becomes an answer, or is malformed: nothing else can happen."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.answers import Answer, MalformedError, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["statusCode", "headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded", "else"]
)


@given(st.sampled_from(["1.0", "2.0"]), st.dictionaries(FIELDS, JSON) | JSON)
def test_any_json_is_an_answer_or_malformed(version: str, result: object) -> None:
    try:
        answer = read(version, json.dumps(result).encode())
    except MalformedError:
        return
    assert isinstance(answer, Answer)
    assert 200 <= answer.status <= 599
    for name, value in answer.headers:
        assert not set("\r\n\0") & set(name + value)


@given(st.binary(max_size=20))
def test_any_bytes_are_an_answer_or_malformed(payload: bytes) -> None:
    with contextlib.suppress(MalformedError):
        read("2.0", payload)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON"),
        (b'{"statusCode": true}', "statusCode is True"),
        (b'{"statusCode": 200, "body": 1}', "body is int"),
        (b'{"statusCode": 200, "cookies": "a=1"}', "cookies: expected a list"),
    ],
)
def test_the_log_says_why_an_answer_is_malformed(payload: bytes, says: str) -> None:
    with pytest.raises(MalformedError) as raised:
        read("2.0", payload)
    assert says in str(raised.value)


def test_text_is_the_default_of_a_structured_answer() -> None:
    answer = read("2.0", b'{"statusCode": "200", "body": "x"}')
    assert (answer.status, answer.headers) == (200, [("content-type", "text/plain;charset=UTF-8")])


def test_null_is_an_empty_inferred_answer() -> None:
    assert read("2.0", b"null").body == b"null"


def test_headers_of_the_connection_are_not_the_functions() -> None:
    headers = {"Content-Length": "999", "Transfer-Encoding": "chunked", "Connection": "close", "X": "y"}
    answer = read("2.0", json.dumps({"statusCode": 200, "headers": headers, "body": "x"}).encode())
    assert ("x", "y") in answer.headers
    assert not {"content-length", "transfer-encoding", "connection"} & {name for name, _ in answer.headers}
