"""Events that API Gateway sends, and events that people write by hand."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from durable_lambda.application import Submit
from durable_lambda.function.bodies import InvalidError
from durable_lambda.function.events import Context, complete, context_of, remaining_seconds, synthetic
from durable_lambda.function.testing import event_of

SUBMIT = Submit("POST", "/letters")


def asked(event: Any, submit: Submit | None = SUBMIT) -> tuple[str, str, str]:
    """Version, method and path of the completed event."""
    whole = complete(event, submit)
    if whole.get("version") == "2.0":
        return "2.0", whole["requestContext"]["http"]["method"], whole["rawPath"]
    return "1.0", whole["httpMethod"], whole["path"]


@pytest.mark.parametrize("version", ["2.0", "1.0"])
def test_a_whole_event_stays_as_it_is(version: str) -> None:
    event = event_of(version, "POST", "/letters/a", {"pages": 2}, query={"x": "1"}, claims={"sub": "ada"})
    assert complete(event, SUBMIT) == event


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"httpMethod": "GET", "path": "/a/b", "pathParameters": {"id": "b"}}, ("1.0", "GET", "/a/b")),
        ({"path": "/a"}, ("1.0", "GET", "/a")),
        ({"path": "/a", "body": "{}"}, ("1.0", "POST", "/a")),
        (
            {"httpMethod": "DELETE", "path": "/a", "headers": None, "requestContext": None},
            ("1.0", "DELETE", "/a"),
        ),
        ({"body": "{}"}, ("1.0", "POST", "/letters")),
        ({"body": {"pages": 2}}, ("1.0", "POST", "/letters")),
        ({"httpMethod": "post"}, ("1.0", "POST", "/letters")),
        ({"version": "1.0", "body": ""}, ("1.0", "POST", "/letters")),
        (
            {"version": "2.0", "rawPath": "/a", "requestContext": {"http": {"method": "PUT"}}},
            ("2.0", "PUT", "/a"),
        ),
        ({"version": "2.0", "rawPath": "/a", "requestContext": {"http": {}}}, ("2.0", "GET", "/a")),
        ({"version": "2.0", "rawPath": "/a", "body": "x"}, ("2.0", "POST", "/a")),
        ({"version": "2.0", "body": "x"}, ("2.0", "POST", "/letters")),
        ({"rawPath": "/a"}, ("2.0", "GET", "/a")),
        ({"version": 2.0, "rawPath": "/a", "body": "x"}, ("2.0", "POST", "/a")),
        ({"requestContext": {"http": {"method": "GET", "path": "/a"}}}, ("2.0", "GET", "/a")),
    ],
)
def test_what_is_missing_is_filled_in(event: Any, expected: tuple[str, str, str]) -> None:
    assert asked(event) == expected
    whole = complete(event, SUBMIT)
    assert whole["headers"] == {}
    assert whole["isBase64Encoded"] is False
    assert whole["requestContext"]["stage"] == "$default"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (None, "The event is null"),
        ([], "The event is a list"),
        ("text", "The event is text"),
        (5, "The event is a number"),
        (True, "The event is true"),
        ({}, "neither a path nor a body"),
        ({"x": 1}, "neither a path nor a body"),
        ({"jobId": "job-1"}, "neither a path nor a body"),
        ({"httpMethod": "GET"}, "no path"),
        ({"httpMethod": "DELETE", "body": "x"}, "no path"),
        ({"httpMethod": "GET", "path": 5}, "path is a number"),
        ({"httpMethod": 5, "path": "/a"}, "httpMethod is a number"),
        ({"httpMethod": "GET", "path": ["/a"]}, "path is a list"),
        ({"version": "2.0", "rawPath": {}}, "rawPath is an object"),
        ({"version": "2.0", "rawPath": "/a", "requestContext": "x"}, "requestContext is text"),
        (
            {"version": "2.0", "rawPath": "/a", "requestContext": {"http": []}},
            "requestContext.http is a list",
        ),
        (
            {"version": "2.0", "rawPath": "/a", "requestContext": {"http": {"method": False}}},
            "requestContext.http.method is false",
        ),
        ({"path": "/a", "headers": "x: y"}, "headers is text"),
        ({"path": "/a", "headers": {"x": ["y"]}}, "headers.x is a list"),
        ({"path": "/a", "multiValueHeaders": False}, "multiValueHeaders is false"),
        ({"path": "/a", "multiValueHeaders": {"x": "y"}}, "multiValueHeaders.x is not a list of texts"),
        ({"path": "/a", "queryStringParameters": [1]}, "queryStringParameters is a list"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(event: Any, words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        complete(event, SUBMIT)
    assert (caught.value.status, caught.value.code) == (400, "not_an_api_event")
    assert words in caught.value.message
    assert caught.value.message.endswith('or {"body": "…"} for POST /letters.')


def test_without_a_submit_call_a_body_alone_is_refused() -> None:
    with pytest.raises(InvalidError, match="The event has no path"):
        complete({"body": "{}"}, None)


def test_odd_values_become_texts() -> None:
    whole = complete({"path": "/a", "queryStringParameters": {"limit": 5, "all": True, "none": None}}, None)
    assert whole["queryStringParameters"] == {"limit": "5", "all": "true"}
    assert complete({"path": "/a", "headers": {"a": 1, "b": None}}, None)["headers"] == {"a": "1"}
    whole = complete({"path": "/a", "body": {"b": [1]}, "isBase64Encoded": True}, None)
    assert (json.loads(whole["body"]), whole["isBase64Encoded"]) == ({"b": [1]}, False)
    assert (
        complete({"path": "/a", "body": "eA==", "isBase64Encoded": "yes"}, None)["isBase64Encoded"] is False
    )


@pytest.mark.parametrize(
    ("stage", "kept"), [("prod", "prod"), ("other", "$default"), (5, "$default"), (None, "$default")]
)
def test_a_stage_that_is_not_in_the_path_is_none(stage: Any, kept: str) -> None:
    event = {"version": "2.0", "rawPath": "/prod/a", "requestContext": {"stage": stage}}
    assert complete(event, None)["requestContext"]["stage"] == kept


class Whole:
    function_name = "letters"
    memory_limit_in_mb = 128
    invoked_function_arn = "arn"
    aws_request_id = "r"

    def get_remaining_time_in_millis(self) -> int:
        return 1500


def test_a_context_is_taken_if_it_is_one(pyproject: Callable[[str], Any]) -> None:
    whole = Whole()
    assert context_of(whole) is whole
    assert remaining_seconds(whole) == 1.5
    for odd in (None, {}, "x", object()):
        made = context_of(odd)
        assert isinstance(made, Context)
        assert made.function_name == "letters"
        assert remaining_seconds(made) == 30


def test_the_synthetic_event_sends_the_example(pyproject: Callable[[str], Any]) -> None:
    event, context = synthetic(["l-1"])
    assert json.loads(event["body"]) == {"letterId": "l-1", "pages": 2}
    assert (event["httpMethod"], event["path"]) == ("POST", "/letters")
    assert (
        json.loads(synthetic([])[0]["body"])["letterId"] != json.loads(synthetic([])[0]["body"])["letterId"]
    )
    assert context.function_name == "letters"
    pyproject('[tool.durable-lambda]\nname = "bare"\n')
    with pytest.raises(SystemExit, match=r"\[tool\.durable-lambda\.submit\]"):
        synthetic([])
