"""Events as AWS documents them.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.events import Api, Request, build
from gateway.routes import Route

API = Api("123456789012", "api-id", "$default")
ROUTE = Route("POST", "/my/{path+}")


def request(**fields: object) -> Request:
    values: dict[str, object] = {
        "method": "POST",
        "raw_path": "/my/path",
        "raw_query": "",
        "headers": [("Host", "id.execute-api.us-east-1.amazonaws.com")],
        "body": b"",
        "source_ip": "192.0.2.1",
        "trace": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        "time": 1583348638.390,
        "request_id": "JKJaXmPLvHcESHA=",
    }
    return Request(**(values | fields))  # type: ignore[arg-type]


def test_event_2_0_is_the_documented_one() -> None:
    event = build(
        "2.0",
        request(
            raw_query="parameter1=value1&parameter1=value2&parameter2=value",
            headers=[
                ("Host", "id.execute-api.us-east-1.amazonaws.com"),
                ("Header1", "value1"),
                ("Header2", "value1"),
                ("Header2", "value2"),
                ("Cookie", "cookie1"),
                ("Cookie", "cookie2"),
                ("User-Agent", "agent"),
                ("Content-Type", "text/plain"),
                ("Connection", "keep-alive"),
            ],
            body=b"Hello from Lambda",
        ),
        ROUTE,
        {"path": "path"},
        API,
    )
    assert event == {
        "version": "2.0",
        "routeKey": "POST /my/{path+}",
        "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1", "cookie2"],
        "headers": {
            "host": "id.execute-api.us-east-1.amazonaws.com",
            "header1": "value1",
            "header2": "value1,value2",
            "user-agent": "agent",
            "content-type": "text/plain",
            "content-length": "17",
            "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "80",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "id",
            "http": {
                "method": "POST",
                "path": "/my/path",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /my/{path+}",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "pathParameters": {"path": "path"},
        "body": "Hello from Lambda",
        "isBase64Encoded": False,
    }


def test_what_is_not_there_is_left_out_in_2_0_and_null_in_1_0() -> None:
    modern = build("2.0", request(), ROUTE, {}, API)
    assert not {"cookies", "queryStringParameters", "pathParameters", "body"} & set(modern)
    old = build("1.0", request(), ROUTE, {}, API)
    absent = [
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "body",
    ]
    assert [old[name] for name in absent] == [None] * 5


def test_forwarded_for_is_appended_to() -> None:
    event = build("2.0", request(headers=[("X-Forwarded-For", "198.51.100.7")]), ROUTE, {}, API)
    assert event["headers"]["x-forwarded-for"] == "198.51.100.7, 192.0.2.1"


@given(
    st.binary(min_size=1), st.sampled_from(["text/plain", "application/json", "image/png", "", "x/y; q=1"])
)
def test_any_body_survives(body: bytes, kind: str) -> None:
    event = build("2.0", request(body=body, headers=[("Content-Type", kind)]), ROUTE, {}, API)
    event = json.loads(json.dumps(event))
    decoded = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
    assert decoded == body


@given(st.lists(st.tuples(st.text("ab%+&=é ", max_size=4), st.text("ab%+&= é", max_size=4)), max_size=5))
def test_any_query_becomes_an_event(pairs: list[tuple[str, str]]) -> None:
    raw = "&".join(f"{name}={value}" for name, value in pairs)
    for version in ("1.0", "2.0"):
        event = build(version, request(raw_query=raw), ROUTE, {}, API)
        assert json.loads(json.dumps(event)) == event
