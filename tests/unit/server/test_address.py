"""Addresses."""

import pytest

from embedded_server.address import Poll, Push, Unserved, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("poll://any@g", Poll("any", "g", None)),
        ("poll://uni@g/id", Poll("uni", "g", "id")),
        ("poll://any@g/", Poll("any", "g", None)),
        ("poll://any@g/a/../b", Poll("any", "g", "b")),
        ("http://x/y?z", Push("http://x/y?z")),
        ("HTTPS://x", Push("HTTPS://x")),
        ("gcps://p/t", Unserved("gcps")),
        ("bash://docker/alpine", Unserved("bash")),
    ],
)
def test_valid(text: str, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "any", "poll://g", "poll://all@g", "poll://any@", "gcps://p", "gcps://p/", "ftp://x", "http://"],
)
def test_invalid(text: str) -> None:
    assert parse(text) is None
