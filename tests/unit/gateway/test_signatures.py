"""The Lambda API's door with AUTH=on. That the verifier agrees with botocore is tested where botocore is, in localstack."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from gateway import issuer
from gateway.backlog import Backlog
from gateway.delivery import Delivery
from gateway.environments import Environments
from gateway.invoker import Invoker, Result
from gateway.lambda_api import LambdaApi
from gateway.settings import Settings
from gateway.signatures import Signatures
from shared.sigv4 import Key, read_keys

KEY = Key("LOCALAAAAAAAAAAAAAAA", "secret", "operator")
PATH = "/2015-03-31/functions/function/invocations"
INVALID = "InvalidSignatureException"


class Echo:
    """An invoker whose function answers with its event."""

    async def invoke(self, call: Any) -> Result:
        return Result(call.payload, None, None)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Any]:
    settings = Settings(data=tmp_path, names=frozenset({"function"}))
    backlog = Backlog(tmp_path)
    environments = Environments("nowhere", 1)
    invoker = cast(Invoker, Echo())
    delivery = Delivery(settings, backlog, invoker, environments)
    signatures = Signatures({KEY.id: KEY}, "us-east-1")
    api = LambdaApi(settings, invoker, environments, backlog, delivery, signatures)
    async with TestClient(TestServer(api.application())) as client:
        yield client
    await backlog.close()


def signed(
    client: Any,
    body: bytes = b"{}",
    *,
    scope: str = "us-east-1/lambda/aws4_request",
    key: Key = KEY,
    **changes: Any,
) -> dict[str, str]:
    """The headers of a signed invocation. `at`: when; the others replace a header's value after it was signed."""
    at = changes.pop("at", datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    host = f"{client.server.host}:{client.server.port}"
    scope = f"{at[:8]}/{scope}"
    names = "host;x-amz-date;x-amz-invocation-type"
    kind = "RequestResponse"
    head = f"POST\n{PATH}\n\nhost:{host}\nx-amz-date:{at}\nx-amz-invocation-type:{kind}\n\n{names}\n"
    digest = hashlib.sha256((head + hashlib.sha256(body).hexdigest()).encode()).hexdigest()
    secret = b"AWS4" + key.secret.encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}".encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    headers = {"Authorization": authorization, "X-Amz-Date": at, "X-Amz-Invocation-Type": kind}
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


async def refused(answer: ClientResponse) -> tuple[str, str]:
    assert answer.status == 403
    assert answer.content_type == "application/json"
    body = await answer.json()
    assert body["Type"] == "User"
    return answer.headers["x-amzn-ErrorType"], body["message"]


async def test_a_signed_invocation_is_let_in(door: Any) -> None:
    body = json.dumps({"a": "é"}).encode()
    answer = await door.post(PATH, data=body, headers=signed(door, body))
    assert answer.status == 200
    assert await answer.json() == {"a": "é"}


async def test_nothing_but_the_health_check_is_open(door: Any) -> None:
    assert (await door.get("/_local/health")).status == 200
    for method, path in (
        ("POST", PATH), ("GET", "/_local/dead-letters"), ("POST", "/_local/health"), ("GET", "/"),
        ("GET", "/_local/health/"), ("POST", "/2015-03-31/functions/unknown/invocations"),
    ):  # fmt: skip
        kind, message = await refused(await door.request(method, path))
        assert (kind, message) == ("MissingAuthenticationTokenException", "Missing Authentication Token"), (
            path
        )


@pytest.mark.parametrize(
    ("options", "body", "kind", "words"),
    [
        (
            {"key": Key("LOCALBBBBBBBBBBBBBBB", "secret", "")},
            b"{}",
            "UnrecognizedClientException",
            "is invalid",
        ),
        ({"X_Amz_Security_Token": "a"}, b"{}", "UnrecognizedClientException", "is invalid"),
        ({"key": Key(KEY.id, "other", "")}, b"{}", INVALID, "does not match"),
        ({}, b'{"a":1}', INVALID, "does not match"),
        ({"X_Amz_Invocation_Type": "Event"}, b"{}", INVALID, "does not match"),
        ({"X_Amz_Log_Type": "Tail"}, b"{}", INVALID, "x-amz-log-type"),
        ({"scope": "eu-west-1/lambda/aws4_request"}, b"{}", INVALID, "valid region, not 'eu-west-1'"),
        ({"scope": "us-east-1/s3/aws4_request"}, b"{}", INVALID, "correct service: 'lambda'"),
        ({"at": datetime.now(UTC) - timedelta(minutes=6)}, b"{}", INVALID, "Signature expired"),
        ({"at": datetime.now(UTC) + timedelta(minutes=6)}, b"{}", INVALID, "Signature not yet current"),
        ({"X_Amz_Date": ""}, b"{}", "IncompleteSignatureException", "X-Amz-Date"),
        ({"Authorization": "AWS4-HMAC-SHA256 a"}, b"{}", "IncompleteSignatureException", "'Credential'"),
        ({"Authorization": "Bearer a"}, b"{}", "IncompleteSignatureException", "AWS4-HMAC-SHA256"),
    ],
)
async def test_what_is_not_right_is_named_as_aws_names_it(
    door: Any, options: dict[str, Any], body: bytes, kind: str, words: str
) -> None:
    found, message = await refused(await door.post(PATH, data=body, headers=signed(door, **options)))
    assert found == kind
    assert words in message


async def test_a_body_too_large_to_check_is_refused_for_its_size(door: Any) -> None:
    large = b" " * (6 * 2**20 + 1)
    answer = await door.post(PATH, data=large, headers=signed(door, large))
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (413, "RequestEntityTooLargeException")


def test_make_up_makes_keys_for_each_door_and_each_client(tmp_path: Path) -> None:
    issuer.make_keys(tmp_path)
    lambda_keys, s3_keys = read_keys(tmp_path / "aws_keys_lambda"), read_keys(tmp_path / "aws_keys_s3")
    assert {key.owner for key in lambda_keys.values()} == {"operator"}
    assert {key.owner for key in s3_keys.values()} == {"operator", "worker", "function", "stack"}
    for owner in ("operator", "worker", "function"):
        [mine] = read_keys(tmp_path / f"aws_credentials_{owner}").values()
        assert (s3_keys[mine.id].owner, s3_keys[mine.id].secret) == (owner, mine.secret)
    assert (tmp_path / "aws_credentials_operator").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "aws_keys_s3").read_bytes()
    assert issuer.make_keys(tmp_path) == []
    assert (tmp_path / "aws_keys_s3").read_bytes() == before
