"""An application's routes: answers, refusals, and everything that can go wrong."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from durable_lambda.function import Answer, Refusal
from durable_lambda.function.api import Api
from durable_lambda.function.promises import ServerAwayError, ServerFailsError
from durable_lambda.function.testing import PromisesInMemory, event_of


class Letter(BaseModel):
    letterId: str  # noqa: N815


@pytest.fixture
def api(pyproject: Callable[[str], Any]) -> Iterator[Api]:
    promises = PromisesInMemory()
    app = Api(promises)

    @app.post("/letters")
    async def send() -> Answer:
        letter = app.body(Letter)
        record = await promises.start(letter.letterId, "send", [letter.model_dump()])
        return Answer(202, {"started": record.id, "query": app.query}, retry_after=3)

    @app.get("/letters/<letter_id>")
    async def look(letter_id: str) -> Answer:
        raise {
            "refused": Refusal(409, "over", "It is over.", "done"),
            "away": ServerAwayError("The server is away."),
            "fails": ServerFailsError("The server cannot."),
            "bug": KeyError("a secret of ours"),
        }.get(letter_id) or Refusal(404, "letter_not_found", "There is no such letter.")

    @app.delete("/letters/<letter_id>")
    async def remove(letter_id: str) -> Answer:
        return Answer(200, {"removed": letter_id, "by": app.event["requestContext"].get("requestId")})

    yield app
    promises.close()


def told(answer: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, Any]]:
    headers = {**(answer.get("headers") or {}), **(answer.get("multiValueHeaders") or {})}
    return answer["statusCode"], json.loads(answer["body"]), headers


def only(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


@pytest.mark.parametrize("version", ["2.0", "1.0"])
class TestBothVersions:
    def test_an_answer_with_its_status_body_and_headers(self, api: Api, version: str) -> None:
        event = event_of(version, "POST", "/letters", {"letterId": "l-1"}, query={"a": "b"})
        status, body, headers = told(api.handle(event))
        assert (status, body) == (202, {"started": "l-1", "query": {"a": "b"}})
        assert only(headers["Retry-After"]) == "3"
        assert only(headers["Content-Type"]) == "application/json"

    def test_parts_of_the_path_are_arguments(self, api: Api, version: str) -> None:
        assert told(api.handle(event_of(version, "DELETE", "/letters/l-1")))[1] == {
            "removed": "l-1",
            "by": "r-1",
        }

    @pytest.mark.parametrize(
        ("letter", "status", "error"),
        [
            ("refused", 409, {"code": "over", "message": "It is over.", "status": "done"}),
            ("bug", 500, {"code": "internal_error", "message": "The function failed; its log says why."}),
        ],
    )
    def test_what_a_handler_raises_is_answered(
        self, api: Api, version: str, letter: str, status: int, error: dict[str, str]
    ) -> None:
        assert told(api.handle(event_of(version, "GET", f"/letters/{letter}")))[:2] == (
            status,
            {"error": error},
        )

    @pytest.mark.parametrize(
        ("letter", "words"), [("away", "Nothing was lost"), ("fails", "may or may not have recorded")]
    )
    def test_trouble_with_the_server_is_503(self, api: Api, version: str, letter: str, words: str) -> None:
        status, body, headers = told(api.handle(event_of(version, "GET", f"/letters/{letter}")))
        assert (status, body["error"]["code"]) == (503, "server_unavailable")
        assert words in body["error"]["message"]
        assert only(headers["Retry-After"]) == "2"

    def test_an_unknown_route_is_told_the_known_ones(self, api: Api, version: str) -> None:
        for method, path in (("GET", "/nowhere"), ("PUT", "/letters"), ("GET", "")):
            status, body, _ = told(api.handle(event_of(version, method, path)))
            assert (status, body["error"]["code"]) == (404, "route_not_found")
            assert body["error"]["message"] == (
                "There is no such route. The routes are: POST /letters, GET /letters/{letter_id}, "
                "DELETE /letters/{letter_id}."
            )

    def test_wrong_fields_are_400(self, api: Api, version: str) -> None:
        status, body, _ = told(api.handle(event_of(version, "POST", "/letters", {})))
        assert (status, body["error"]["fields"]) == (400, [{"field": "letterId", "message": "is required"}])


def test_events_by_hand_are_answered_without_a_context(api: Api) -> None:
    assert api.handle({"body": '{"letterId": "l-2"}'})["statusCode"] == 202
    assert api.handle({"body": {"letterId": "l-2"}})["statusCode"] == 202
    assert api.handle({"httpMethod": "DELETE", "path": "/letters/l-2"}, None)["statusCode"] == 200
    assert api.handle({"rawPath": "/letters", "body": '{"letterId": "l-2"}'}, {})["statusCode"] == 202


@pytest.mark.parametrize("event", [None, [], "text", 5, {}, {"path": 5}, {"path": "/letters", "headers": []}])
def test_what_is_no_event_is_refused_with_a_sentence(api: Api, event: Any) -> None:
    status, body, _ = told(api.handle(event))
    assert (status, body["error"]["code"]) == (400, "not_an_api_event")
    assert body["error"]["message"].endswith(".")


NAMES = [
    "version",
    "httpMethod",
    "path",
    "rawPath",
    "headers",
    "queryStringParameters",
    "body",
    "isBase64Encoded",
]
NAMES += [
    "requestContext",
    "http",
    "method",
    "stage",
    "authorizer",
    "multiValueHeaders",
    "cookies",
    "content-type",
]
WORDS = [
    "2.0",
    "1.0",
    "GET",
    "POST",
    "DELETE",
    "/letters",
    "/letters/l-1",
    "/p/letters",
    "p",
    "eA==",
    "é",
    "{}",
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values | st.dictionaries(st.sampled_from(NAMES), values, min_size=2))
def test_no_event_whatever_is_in_it_breaks_the_function(api: Api, event: Any) -> None:
    status, body, _ = told(api.handle(event))
    assert status in (200, 202, 400, 404, 415), body
    assert status < 400 or body["error"]["message"]


def test_a_handler_has_what_is_left_of_the_invocation(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    original = api.promises.call

    def call(work: Any, remaining_seconds: float) -> Any:
        given.append(remaining_seconds)
        return original(work, remaining_seconds)

    monkeypatch.setattr(api.promises, "call", call)

    class Context:
        function_name, memory_limit_in_mb, invoked_function_arn, aws_request_id = "f", 1, "arn", "r"

        def get_remaining_time_in_millis(self) -> int:
            return 1234

    api.handle({"httpMethod": "DELETE", "path": "/letters/a"}, Context())
    api.handle({"httpMethod": "DELETE", "path": "/letters/a"})
    assert given == [1.234, 30.0]
