"""Request bodies and ids: which are accepted, and the errors for the others."""

import base64
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from durable_lambda.function.bodies import InvalidError, body, job_id
from durable_lambda.ids import JOB_ID


class Letter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    letterId: Annotated[str, Field(pattern=JOB_ID)]  # noqa: N815
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    kind: Literal["private", "business"] = "private"
    express: StrictBool = False


GOOD = '{"letterId": "l-1", "country": "NZ"}'


def read(text: Any, content_type: str | None = "application/json", **more: Any) -> Letter:
    headers = {"Content-Type": content_type} if content_type else None
    return body({"headers": headers, "body": text, **more}, Letter)


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "Application/JSON; charset=utf-8", "application/problem+json"]
)
def test_json_is_taken_declared_or_not(content_type: str | None) -> None:
    assert read(GOOD, content_type).letterId == "l-1"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_other_types_are_refused(content_type: str) -> None:
    with pytest.raises(InvalidError, match="declared as") as caught:
        read(GOOD, content_type)
    assert (caught.value.status, caught.value.code) == (415, "unsupported_media_type")


def test_base64() -> None:
    assert read(base64.b64encode(GOOD.encode()).decode(), isBase64Encoded=True).country == "NZ"


@pytest.mark.parametrize("text", ["/////w==", "é", "a"])
def test_broken_base64_is_told(text: str) -> None:
    with pytest.raises(InvalidError, match="not UTF-8 text, or is not the base64"):
        read(text, isBase64Encoded=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "empty. Send a JSON object with letterId, country."),
        ("", "empty"),
        ("{", "not JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object. Send one with letterId, country."),
        ("null", "not a JSON object"),
        ("5", "not a JSON object"),
    ],
)
def test_what_is_no_json_object_is_told(text: Any, words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        read(text)
    assert (caught.value.status, caught.value.code) == (400, "invalid_request")
    assert words in caught.value.message


def test_every_wrong_field_is_told_in_plain_words() -> None:
    with pytest.raises(InvalidError) as caught:
        read('{"letterId": "a b", "kind": "x", "express": "yes", "surprise": 1}')
    assert caught.value.message == "These fields are not right: letterId, country, kind, express, surprise."
    assert caught.value.details["fields"] == [
        {
            "field": "letterId",
            "message": "must be 1 to 128 letters, digits or . _ -, beginning with a letter or digit",
        },
        {"field": "country", "message": "is required"},
        {"field": "kind", "message": "must be one of 'private' or 'business'"},
        {"field": "express", "message": "must be true or false"},
        {"field": "surprise", "message": "is not a field of this request"},
    ]
    with pytest.raises(InvalidError) as caught:
        read('{"letterId": "a", "country": "New Zealand"}')
    assert caught.value.fields == [{"field": "country", "message": "must match ^[A-Z]{2}$"}]


def test_job_ids_of_paths() -> None:
    assert job_id("a.B-1_2") == "a.B-1_2"
    for bad in ("", "a b", "../x", "-a", "a:1", "a~2", "a" * 129, "é"):
        with pytest.raises(InvalidError, match="jobId"):
            job_id(bad)
