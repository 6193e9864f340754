"""The routes of an application: an API Gateway event of either payload version in, an answer out.

Usage::

    app = Api()

    @app.get("/status/<job_id>")
    async def status(job_id: str) -> Answer:
        record = await app.promises.get(root_id(job_id))
        …

    def lambda_handler(event: Any, context: Any = None) -> dict[str, Any]:
        return app.handle(event, context)

A handler must finish within the time that is left of the invocation. It returns an :class:`Answer` or raises a
:class:`Refusal`. Every other error is answered here. Errors always have the form `{"error": {"code", "message", …}}`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, APIGatewayRestResolver, Response
from pydantic import BaseModel

from durable_lambda.application import application
from durable_lambda.function import bodies, events
from durable_lambda.function.answers import Answer, Refusal
from durable_lambda.function.promises import Promises, ServerAwayError, ServerFailsError, connect

#: Seconds after which a client should try again if the server could not be reached.
_COME_BACK = 2

type Handler = Callable[..., Awaitable[Answer]]


class Api:
    """An application's routes, and its connection to the server."""

    def __init__(self, promises: Promises | None = None) -> None:
        self.promises = connect() if promises is None else promises
        self.logger = Logger(service=application().name)
        #: `METHOD /path` of each route.
        self.routes: list[str] = []
        self._submit = application().submit
        self._http, self._rest = APIGatewayHttpResolver(), APIGatewayRestResolver()
        for resolver in (self._http, self._rest):
            resolver.exception_handler(Exception)(self._explain)
            resolver.not_found(self._unknown_route)
        self._answer = self.logger.inject_lambda_context(clear_state=True)(self._resolve)

    def handle(self, event: Any, context: Any = None) -> dict[str, Any]:
        """Answer one event. An event that lacks fields of API Gateway's is completed, or refused with an explanation."""
        try:
            event = events.complete(event, self._submit)
        except bodies.InvalidError as error:
            body = json.dumps({"error": {"code": error.code, "message": error.message}})
            headers = {"Content-Type": "application/json"}
            return {"statusCode": int(error.status), "headers": headers, "body": body}
        answer: dict[str, Any] = self._answer(event, events.context_of(context))
        return answer

    def get(self, path: str) -> Callable[[Handler], Handler]:
        """Register a handler for GET. A part of the path such as `<job_id>` becomes an argument of that name."""
        return self.route("GET", path)

    def post(self, path: str) -> Callable[[Handler], Handler]:
        """Register a handler for POST."""
        return self.route("POST", path)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        """Register a handler for DELETE."""
        return self.route("DELETE", path)

    def route(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Register a handler for any one method."""

        def register(handler: Handler) -> Handler:
            @functools.wraps(handler)
            def run(**arguments: str) -> Response[str]:
                left = events.remaining_seconds(self._http.lambda_context)
                answer = self.promises.call(lambda: handler(**arguments), left)
                again = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
                return _json(answer.status, answer.body, again)

            for resolver in (self._http, self._rest):
                resolver.route(path, method)(run)
            self.routes.append(f"{method} {path.replace('<', '{').replace('>', '}')}")
            return handler

        return register

    @property
    def event(self) -> dict[str, Any]:
        """The event that is being answered."""
        found: dict[str, Any] = self._http.current_event.raw_event
        return found

    def body[T: BaseModel](self, model: type[T]) -> T:
        """The body of the request, as a model. Raises :class:`~durable_lambda.function.bodies.InvalidError`."""
        return bodies.body(self.event, model)

    @property
    def query(self) -> dict[str, str]:
        """The query parameters of the request."""
        return self.event["queryStringParameters"] or {}

    def _resolve(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        return (self._http if events.is_http_api(event) else self._rest).resolve(event, context)

    def _unknown_route(self, _: Exception) -> Response[str]:
        message = f"There is no such route. The routes are: {', '.join(self.routes)}."
        return _error(HTTPStatus.NOT_FOUND, "route_not_found", message)

    def _explain(self, error: Exception) -> Response[str]:
        """The answer for an exception of a handler. It is also logged, unless the caller made the mistake."""
        match error:
            case Refusal():
                return _error(error.status, error.code, error.message, error.details)
            case ServerAwayError():
                self.logger.warning("server away", extra={"reason": str(error)})
                return _unavailable(
                    f"{error} Nothing was lost: send the same request again in {_COME_BACK} s."
                )
            case ServerFailsError():
                self.logger.error("server fails", extra={"reason": str(error)})
                return _unavailable(
                    f"{error} It may or may not have recorded this request: send the very same request again, or ask "
                    "for the job's status, once the server works."
                )
        self.logger.exception("unexpected error")
        message = "The function failed; its log says why."
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)


def _unavailable(message: str) -> Response[str]:
    again = {"Retry-After": str(_COME_BACK)}
    return _error(HTTPStatus.SERVICE_UNAVAILABLE, "server_unavailable", message, headers=again)


def _error(
    status: int,
    code: str,
    message: str,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[str]:
    return _json(status, {"error": {"code": code, "message": message, **(details or {})}}, headers or {})


def _json(status: int, value: dict[str, Any], headers: dict[str, str]) -> Response[str]:
    return Response(
        int(status), content_type="application/json", body=json.dumps(value), headers=dict(headers)
    )
