"""Reads a request: its body as a model, a job id from its path. An error names every field that is wrong."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ValidationError

from durable_lambda.function.answers import Refusal
from durable_lambda.ids import JOB_ID

_JSON = re.compile(r"application/(?:[\w.-]+\+)?json", re.IGNORECASE)


class InvalidError(Refusal):
    """The request is malformed. The error names all fields that are wrong, not only the first."""

    def __init__(
        self, message: str, fields: Sequence[dict[str, str]] = (), code: str = "invalid_request"
    ) -> None:
        unsupported = code == "unsupported_media_type"
        super().__init__(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE if unsupported else HTTPStatus.BAD_REQUEST, code, message
        )
        self.fields = list(fields)

    @property
    def details(self) -> dict[str, Any]:
        return {"fields": self.fields} if self.fields else {}


def wrong_fields(fields: Sequence[dict[str, str]]) -> InvalidError:
    """The error for `[{"field", "message"}, …]`; a message says what the field must be."""
    names = ", ".join(dict.fromkeys(field["field"] for field in fields))
    return InvalidError(f"These fields are not right: {names}.", fields)


def wrong_field(name: str, message: str) -> InvalidError:
    """The error for one field; the message says what it must be."""
    return wrong_fields([{"field": name, "message": message}])


def body[T: BaseModel](event: Mapping[str, Any], model: type[T]) -> T:
    """The body of an event, as a model. Raises :class:`InvalidError`."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    declared = str(headers.get("content-type") or "").partition(";")[0].strip()
    if declared and not _JSON.fullmatch(declared):
        raise InvalidError(
            f"The body is declared as {declared}. Send JSON, with `content-type: application/json`.",
            code="unsupported_media_type",
        )
    text = _text(event)
    if not text:
        raise InvalidError(f"The body is empty. Send a JSON object with {_required(model)}.")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidError(f"The body is not a JSON object. Send one with {_required(model)}.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise wrong_fields([_field(detail) for detail in error.errors()]) from None


def job_id(text: str) -> str:
    """A job id from a path. Raises :class:`InvalidError`."""
    if not re.fullmatch(JOB_ID, text):
        raise wrong_field("jobId", _JOB_ID_RULE)
    return text


_JOB_ID_RULE = "must be 1 to 128 letters, digits or . _ -, beginning with a letter or digit"


def _text(event: Mapping[str, Any]) -> str:
    text: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return text
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, ValueError):
        raise InvalidError("The body is not UTF-8 text, or is not the base64 that it is marked as.") from None


def _field(detail: Any) -> dict[str, str]:
    """An error of pydantic's, as the API describes errors: the field, and what it must be."""
    name = ".".join(str(part) for part in detail["loc"]) or "body"
    message = str(detail["msg"]).removeprefix("Value error, ")
    match detail["type"]:
        case "missing":
            message = "is required"
        case "extra_forbidden":
            message = "is not a field of this request"
        case "bool_type":
            message = "must be true or false"
        case "string_pattern_mismatch" if detail["ctx"]["pattern"] == JOB_ID:
            message = _JOB_ID_RULE
        case "string_pattern_mismatch":
            message = f"must match {detail['ctx']['pattern']}"
        case "literal_error":
            message = f"must be one of {detail['ctx']['expected']}"
    return {"field": name, "message": message}


def _required(model: type[BaseModel]) -> str:
    return ", ".join(name for name, info in model.model_fields.items() if info.is_required())


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
