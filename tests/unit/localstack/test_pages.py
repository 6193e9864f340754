"""The door in front of LocalStack: see tests/integration/doors/test_pages.py for it in its place."""

from importlib.metadata import entry_points
from typing import Any

import pytest
from localstack.aws.api import RequestContext
from localstack.aws.handlers import preprocess_request
from localstack.http import Request, Response
from localstack_door import install
from localstack_door.pages import Pages

from shared.environ import SettingError


class Chain:
    terminated = False

    def terminate(self) -> None:
        self.terminated = True


def ask(headers: dict[str, str], method: str = "GET", **settings: str) -> Response | None:
    """What the door answers; None where it lets the request through."""
    context = RequestContext(
        Request(method, "/documents/a.txt", headers={"Host": "localhost:4566"} | headers)
    )
    chain: Any = Chain()
    response = Response()
    Pages(settings)(chain, context, response)
    return response if chain.terminated else None


def test_it_is_put_up_before_localstack_answers() -> None:
    [entry] = [
        entry for entry in entry_points(group="localstack.hooks.on_infra_start") if entry.name == "door"
    ]
    assert entry.value == "localstack_door:install"
    before = list(preprocess_request.handlers)
    try:
        install.fn() if hasattr(install, "fn") else install()
        assert isinstance(preprocess_request.handlers[0], Pages)
    finally:
        preprocess_request.handlers[:] = before


@pytest.mark.parametrize(
    "host",
    [
        "bucket.s3.localhost.localstack.cloud:4566", "bucket.localhost:4566", "s3.localhost.localstack.cloud",
        "bucket.s3-website.localhost.localstack.cloud:4566", "localstack:4566", "bucket.s3.localstack:4566",
        "127.0.0.1:4566",
    ],
)  # fmt: skip
def test_buckets_are_found_by_their_names(host: str) -> None:
    assert ask({"Host": host}) is None


@pytest.mark.parametrize(
    "host", ["evil.example:4566", "localstack.cloud", "localhost.localstack.cloud.evil.example"]
)
def test_other_names_are_refused(host: str) -> None:
    refused = ask({"Host": host})
    assert refused is not None
    assert refused.status_code == 403
    assert b"<Code>AccessDenied</Code>" in refused.data


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "https://app.localstack.cloud",
        "http://localhost:4566",
        "file://",
        "<&\u00e9>",
    ],
)
def test_pages_are_refused_those_of_localstacks_makers_too(origin: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        refused = ask({"Origin": origin}, method)
        assert refused is not None
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
    assert ask({"Origin": "https://a.example"}, "POST", ALLOWED_ORIGINS="https://a.example") is None


def test_a_wrong_setting_stops_localstack() -> None:
    with pytest.raises(SettingError):
        Pages({"ALLOWED_ORIGINS": "*"})
