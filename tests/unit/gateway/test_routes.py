"""Routes are found as API Gateway finds them, and a file that it could not import is refused with a reason."""

from pathlib import Path
from typing import Any

import pytest

from gateway.routes import Route, Routes, SpecificationError, parse, read

INTEGRATION = {"type": "aws_proxy", "payloadFormatVersion": "2.0"}


def routes(*keys: str) -> Routes:
    return Routes([Route(*key.split(" ", 1)) for key in keys])


@pytest.mark.parametrize(
    ("request_", "key", "parameters"),
    [
        ("GET /pets/dog/1", "GET /pets/dog/1", {}),
        ("GET /pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET /pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
        ("PUT /pets/dog/9", "ANY /pets/{proxy+}", {"proxy": "dog/9"}),
        ("POST /test/5", "$default", {}),
    ],
)
def test_most_specific_route_wins(request_: str, key: str, parameters: dict[str, str]) -> None:
    """The example of https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html"""
    table = routes(
        "ANY /pets/{proxy+}", "GET /pets/{proxy+}", "GET /pets/dog/{id}", "GET /pets/dog/1", "ANY /$default"
    )
    found = table.match(*request_.split(" ", 1))
    assert found is not None
    assert (found[0].key, found[1]) == (key, parameters)


@pytest.mark.parametrize("path", ["/status", "/status/", "/status/a/b", "/statuses/a", "/", ""])
def test_a_parameter_is_one_segment_and_not_empty(path: str) -> None:
    assert routes("GET /status/{jobId}").match("GET", path) is None


def test_parameters_are_decoded() -> None:
    found = routes("GET /x/{name}").match("GET", "/x/%C3%A9%2F%25")
    assert found is not None
    assert found[1] == {"name": "é/%"}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "no `paths`"),
        ({"paths": {"/a": {"get": {}}}}, "GET /a: no x-amazon-apigateway-integration"),
        (
            {"paths": {"/a": {"get": {"x-amazon-apigateway-integration": {"payloadFormatVersion": "3"}}}}},
            "GET /a: payloadFormatVersion is '3'",
        ),
        ({"paths": {"/{a-b}": {"get": {"x-amazon-apigateway-integration": INTEGRATION}}}}, "{a-b}"),
        (
            {"paths": {"/a": {"get": {"x-amazon-apigateway-integration": {"$ref": "#/components/none"}}}}},
            "GET /a: no x-amazon-apigateway-integration",
        ),
    ],
)
def test_a_file_that_cannot_be_served_is_refused_by_name(document: Any, says: str) -> None:
    with pytest.raises(SpecificationError) as raised:
        parse(document)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    "call", ["GET /", "POST /orders", "DELETE /a/b/c", "OPTIONS /x%2Fy", "PATCH /status/j"]
)
def test_without_an_application_s_file_every_call_reaches_the_function(call: str) -> None:
    table = read(Path("/app/openapi.yaml"))
    found = table.match(*call.split(" ", 1))
    assert found is not None
    route, parameters = found
    assert (route.key, route.event_version, parameters) == ("$default", "2.0", {})
    assert table.cors is None  # closed, unless somebody opens it


FILE = """
paths:
  /process: {post: {x-amazon-apigateway-integration: {$ref: "#/components/x-integrations/function"}}}
  /jobs/{jobId}/retry: {post: {x-amazon-apigateway-integration: {$ref: "#/components/x-integrations/function"}}}
components: {x-integrations: {function: {type: AWS_PROXY, payloadFormatVersion: "2.0"}}}
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "openapi.yaml"
    file.write_text(FILE)
    table = read(file)
    for key, parameters in {"POST /process": {}, "POST /jobs/j/retry": {"jobId": "j"}}.items():
        found = table.match(*key.split(" ", 1))
        assert found is not None, key
        assert found[1] == parameters
        assert found[0].event_version == "2.0"
    assert table.match("GET", "/process") is None
    assert table.cors is None  # closed, unless somebody opens it


def test_an_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "openapi.yaml"
    file.write_text(FILE.replace("2.0", "3.0"))
    with pytest.raises(
        SpecificationError, match=r"openapi\.yaml: POST /process: payloadFormatVersion is '3\.0'"
    ):
        read(file)
