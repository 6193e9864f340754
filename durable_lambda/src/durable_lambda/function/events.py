"""Between API Gateway's events and the jobs: bodies in, answers and errors out."""

from __future__ import annotations

import binascii
import json
import re
import uuid
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes.common import BaseProxyEvent
from aws_lambda_powertools.utilities.parser import parse
from pydantic import BaseModel, ValidationError

from callers import ForbiddenError
from contract import JOB_ID
from jobs import Answer, Refusal
from promises import ServerAwayError, ServerFailsError

#: Seconds after which a client should come back when the server was away.
_COME_BACK = 2
_STATES = ("accepted", "processing", "awaiting_approval", "done", "failed", "cancelled")
_JSON = re.compile(r"application/(?:[\w.-]+\+)?json", re.IGNORECASE)
_REMOTE_SECONDS = 30.0


class InvalidError(Exception):
    """The request is not of the required form; each field that is wrong is named, all of them at once."""

    def __init__(
        self, message: str, fields: Sequence[dict[str, str]] = (), code: str = "invalid_request"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields = list(fields)
        self.code = code
        self.status = (
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE if code == "unsupported_media_type" else HTTPStatus.BAD_REQUEST
        )


def body[T: BaseModel](event: BaseProxyEvent, model: type[T]) -> T:
    """The request's body as a model. Raises :class:`InvalidError`."""
    headers = {name.lower(): value for name, value in (event.headers or {}).items()}
    declared = str(headers.get("content-type") or "").partition(";")[0].strip()
    if declared and not _JSON.fullmatch(declared):
        raise InvalidError(
            f"The body is declared as {declared}. Send JSON, with `content-type: application/json`.",
            code="unsupported_media_type",
        )
    try:
        text = event.decoded_body
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidError("The body is not UTF-8 text, or is not the base64 that it is marked as.") from None
    if not text:
        raise InvalidError(f"The body is empty. Send a JSON object with {_fields_of(model)}.")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidError(f"The body is not a JSON object. Send one with {_fields_of(model)}.")
    try:
        return parse(event=value, model=model)
    except ValidationError as error:
        fields = [_field(detail) for detail in error.errors()]
        names = ", ".join(dict.fromkeys(field["field"] for field in fields))
        raise InvalidError(f"These fields are not right: {names}.", fields) from None


def job_id(text: str) -> str:
    """A jobId from a path. Raises :class:`InvalidError`."""
    if not re.fullmatch(JOB_ID, text):
        raise wrong_field("jobId", _job_id_rule())
    return text


def wrong_field(name: str, message: str) -> InvalidError:
    """The error that names one field and what it must be."""
    return InvalidError(f"These fields are not right: {name}.", [{"field": name, "message": message}])


def page(event: BaseProxyEvent) -> tuple[str | None, int, str | None]:
    """`state`, `limit` and `cursor` of a listing. Raises :class:`InvalidError`."""
    query = event.query_string_parameters or {}
    state, limit, cursor = query.get("state"), query.get("limit", "50"), query.get("cursor")
    wrong = []
    if state is not None and state not in _STATES:
        wrong.append({"field": "state", "message": f"must be one of {', '.join(_STATES)}"})
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= 100:
        wrong.append({"field": "limit", "message": "must be a number from 1 to 100"})
    if cursor is not None and not re.fullmatch(JOB_ID.rstrip("$") + r"(~\d+)?$", cursor):
        wrong.append({"field": "cursor", "message": "must be the cursor of an earlier answer"})
    if wrong:
        raise InvalidError(f"These fields are not right: {', '.join(w['field'] for w in wrong)}.", wrong)
    return state, int(limit), cursor


def response(answer: Answer) -> Response[str]:
    headers = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
    return _json(answer.status, answer.body, headers)


def explained(logger: Logger) -> Callable[[Exception], Response[str]]:
    """The handler of everything that goes wrong: an answer of the documented form, and a log where it is
    ours.
    """

    def explain(error: Exception) -> Response[str]:
        match error:
            case InvalidError():
                extra: dict[str, Any] = {"fields": error.fields} if error.fields else {}
                return _error(error.status, error.code, error.message, extra)
            case ForbiddenError():
                return _error(HTTPStatus.FORBIDDEN, error.code, error.message)
            case Refusal():
                extra = {"status": error.job_status} if error.job_status else {}
                return _error(error.status, error.code, error.message, extra)
            case ServerAwayError():
                logger.warning("server away", extra={"reason": str(error)})
                return _unavailable(
                    f"{error} Nothing was lost: send the same request again in {_COME_BACK} s."
                )
            case ServerFailsError():
                logger.error("server fails", extra={"reason": str(error)})
                return _unavailable(
                    f"{error} Whether it has recorded anything of this request is not certain: send the very same "
                    "request again, or ask for the job's status, once the server works."
                )
        logger.exception("unexpected error")
        return _error(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "The function failed; its log says why."
        )

    return explain


def unknown_route(_: Exception) -> Response[str]:
    known = (
        "POST /process-document, GET /status/{jobId}, POST /approve/{jobId}, DELETE /jobs/{jobId}, "
        "POST /jobs/{jobId}/retry, GET /jobs"
    )
    return _error(HTTPStatus.NOT_FOUND, "route_not_found", f"There is no such route. There are: {known}.")


def is_http_api(event: dict[str, Any]) -> bool:
    """Whether the event is payload 2.0; 1.0 is what has no version as well (REST APIs)."""
    return event.get("version") == "2.0"


def complete(event: Any) -> dict[str, Any]:
    """The event, if it is one of API Gateway's; what a hand-written one leaves out and nobody reads is added.

    Raises :class:`InvalidError`, naming what is missing.
    """
    if not isinstance(event, dict) or not isinstance(event.get("requestContext"), dict):
        raise InvalidError("This function takes API Gateway events (there is no requestContext).")
    context = {"stage": "$default", **event["requestContext"]}
    if is_http_api(event):
        http = context.get("http")
        method = http.get("method") if isinstance(http, dict) else None
        needed = {"rawPath": event.get("rawPath"), "requestContext.http.method": method}
    else:
        needed = {"path": event.get("path"), "httpMethod": event.get("httpMethod")}
    missing = [name for name, value in needed.items() if not isinstance(value, str)]
    if missing:
        raise InvalidError(f"This is not a whole API Gateway event: {', '.join(missing)} is missing.")
    return {**event, "requestContext": context}


def refused(error: InvalidError) -> dict[str, Any]:
    """An error as a raw answer, for what is no API Gateway event."""
    text = json.dumps({"error": {"code": "not_an_api_event", "message": error.message}})
    headers = {"Content-Type": "application/json"}
    return {"statusCode": int(HTTPStatus.BAD_REQUEST), "headers": headers, "body": text}


def remaining_seconds(context: Any) -> float:
    """What is left of the invocation."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return remaining() / 1000 if callable(remaining) else _REMOTE_SECONDS


def synthetic(arguments: list[str]) -> tuple[dict[str, Any], Any]:
    """An event as API Gateway would send it (payload 2.0), and a context: for a smoke test from a shell."""
    job = {
        "jobId": arguments[0] if arguments else f"job-{uuid.uuid4().hex[:8]}",
        "documentUrl": arguments[1] if len(arguments) > 1 else "s3://documents/contract.pdf",
        "requesterId": "smoke-test",
        "type": arguments[2] if len(arguments) > 2 else "contract",
    }
    event = {
        "version": "2.0",
        "routeKey": "POST /process-document",
        "rawPath": "/process-document",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {
                "method": "POST",
                "path": "/process-document",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
            },
            "requestId": str(uuid.uuid4()),
            "stage": "$default",
        },
        "body": json.dumps(job),
        "isBase64Encoded": False,
    }

    class Context:
        function_name = "document-processor"
        memory_limit_in_mb = 512
        invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:document-processor"
        aws_request_id = str(uuid.uuid4())

        def get_remaining_time_in_millis(self) -> int:
            return int(_REMOTE_SECONDS * 1000)

    return event, Context()


def _json(status: int, value: dict[str, Any], headers: dict[str, str]) -> Response[str]:
    return Response(status, content_type="application/json", body=json.dumps(value), headers=dict(headers))


def _unavailable(message: str) -> Response[str]:
    again = {"Retry-After": str(_COME_BACK)}
    return _error(HTTPStatus.SERVICE_UNAVAILABLE, "server_unavailable", message, {}, again)


def _error(
    status: int,
    code: str,
    message: str,
    extra: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[str]:
    return _json(int(status), {"error": {"code": code, "message": message, **(extra or {})}}, headers or {})


def _field(detail: Any) -> dict[str, str]:
    name = ".".join(str(part) for part in detail["loc"]) or "body"
    message = str(detail["msg"]).removeprefix("Value error, ")
    match detail["type"]:
        case "missing":
            message = "is required"
        case "extra_forbidden":
            message = "is not a field of this request"
        case "bool_type":
            message = "must be true or false"
        case "string_pattern_mismatch" if name == "jobId":
            message = _job_id_rule()
        case "string_pattern_mismatch":
            message = "must be 1 to 128 letters, digits or . _ @ + | : -, beginning with a letter or digit"
        case "literal_error":
            message = f"must be one of {detail['ctx']['expected']}"
    return {"field": name, "message": message}


def _job_id_rule() -> str:
    return "must be 1 to 128 letters, digits or . _ -, beginning with a letter or digit"


def _fields_of(model: type[BaseModel]) -> str:
    return ", ".join(name for name, info in model.model_fields.items() if info.is_required())


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
