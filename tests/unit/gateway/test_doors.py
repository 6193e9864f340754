"""The rule of all doors: which hosts and which pages it lets in."""

import pytest

from gateway.settings import Settings
from shared.doors import Ask, Doors
from shared.environ import SettingError

PAGE = "https://app.example.org"
SETTINGS = {"ALLOWED_HOSTS": "stack.example.org *.wild.example.org, 10.0.0.5", "ALLOWED_ORIGINS": PAGE}


def status(
    doors: Doors,
    method: str = "GET",
    target: str = "/",
    headers: dict[str, str] | None = None,
    needs_host: bool = True,
) -> int:
    """200 where the request may pass."""
    found = {"host": "localhost:8080"} | (headers or {})
    refusal = doors.refusal(Ask(method, target, found.get, needs_host))
    return 200 if refusal is None else refusal.status


def of_host(host: str, target: str = "/") -> int:
    # Twice: what was found once is remembered.
    doors = Doors.read(SETTINGS)
    first, second = (status(doors, target=target, headers={"host": host}) for _ in range(2))
    assert first == second
    return first


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8080", "LOCALHOST:1", "localhost.:8080", "a.b.localhost:4566",
        "127.0.0.1", "127.0.0.1:8080", "127.9.8.7:80", "[::1]", "[::1]:8080",
        "gateway:8080", "lambda:8080", "server:8001", "localstack:4566", "host.docker.internal:8001",
        "stack.example.org", "stack.example.org:443", "Stack.Example.Org", "a.wild.example.org", "a.b.wild.example.org:1",
        "10.0.0.5:8080",
    ],
)  # fmt: skip
def test_own_names_are_let_in(host: str) -> None:
    assert of_host(host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "evillocalhost",
        "xstack.example.org", "a.stack.example.org", "wild.example.org", "evilwild.example.org", "gateway.evil.example",
        # Addresses: browsers tell nothing of the page there (Sec-Fetch-Site), so none but loopback's.
        "172.17.0.2:8001", "0.0.0.0:8001", "[::]:8001", "[::ffff:127.0.0.1]:8001", "[fe80::1]", "10.0.0.6", "2130706433",
    ],
)  # fmt: skip
def test_strange_names_are_refused(host: str) -> None:
    assert of_host(host) == 403


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "localhost, evil.example",
        "localhost,localhost",
        "user@localhost",
        "localhost:x",
        "[::1",
    ],
)
def test_what_names_no_host_is_malformed(host: str) -> None:
    assert of_host(host) == 400


def test_an_absolute_target_names_a_host_too() -> None:
    assert of_host("localhost:8080", "http://localhost:8080/x") == 200
    assert of_host("localhost:8080", "http://evil.example/x") == 403
    assert of_host("evil.example", "http://localhost:8080/x") == 403
    assert of_host("localhost:8080", "http://localhost@evil.example/x") == 400
    assert of_host("localhost:8080", "http://[evil") == 400
    assert of_host("localhost:8080", "evil") == 400
    assert of_host("localhost:8080", "*") == 200


def test_http_1_0_need_not_name_a_host() -> None:
    doors = Doors.read({})
    assert doors.refusal(Ask("GET", "/", {}.get, needs_host=False)) is None
    refusal = doors.refusal(Ask("GET", "/", {}.get))
    assert refusal is not None
    assert refusal.status == 400


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "null", "", "http://localhost:8080", "http://127.0.0.1:3000", "file://",
        PAGE + ".evil.example",
        "http://app.example.org", f"{PAGE}, https://evil.example", "chrome-extension://abc",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
def test_foreign_pages_are_refused_whatever_they_send(origin: str, method: str) -> None:
    assert status(Doors.read(SETTINGS), method, headers={"origin": origin}) == 403


def test_the_refusal_says_what_helps() -> None:
    doors = Doors.read({})
    refused = doors.refusal(Ask("GET", "/", {"host": "evil.example"}.get))
    assert refused is not None
    assert "'evil.example'" in refused.message
    assert "ALLOWED_HOSTS" in refused.message
    refused = doors.refusal(Ask("GET", "/", {"host": "localhost", "origin": "https://evil.example"}.get))
    assert refused is not None
    assert "'https://evil.example'" in refused.message
    assert "ALLOWED_ORIGINS" in refused.message


def test_pages_that_are_named_may_call() -> None:
    doors = Doors.read(SETTINGS)
    assert status(doors, "POST", headers={"origin": PAGE, "sec-fetch-site": "cross-site"}) == 200
    assert status(doors, headers={"origin": PAGE, "host": "evil.example"}) == 403
    # An image has no Origin, but says where its page is from.
    image = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    assert status(doors, headers=image | {"referer": f"{PAGE}/"}) == 200
    assert status(doors, headers=image | {"referer": "https://evil.example/"}) == 403
    assert status(doors, headers=image) == 403


def test_something_else_may_allow_an_origin() -> None:
    ask = Ask("POST", "/", {"host": "localhost", "origin": "https://other.example"}.get)
    assert Doors.read({}).refusal(ask, lambda origin: origin == "https://other.example") is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", 200), ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415),
        ("text/plain; x=application/json", 415), (None, 415), ("", 415),
    ],
)  # fmt: skip
def test_a_door_may_take_json_alone_from_pages(kind: str | None, expected: int) -> None:
    doors = Doors.read(SETTINGS, json_only=True)
    said = {} if kind is None else {"content-type": kind}
    assert status(doors, "POST", headers=said | {"origin": PAGE}) == expected
    # A command line says what it likes.
    assert status(doors, "POST", headers=said) == 200


def test_a_get_without_an_origin_is_looked_at_by_where_it_is_from() -> None:
    doors, linked = Doors.read({}), Doors.read({}, links=True)
    for site in ("none", "same-origin"):
        assert status(doors, headers={"sec-fetch-site": site}) == 200
    link = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    for site in ("cross-site", "same-site", "anything"):
        from_site = {"sec-fetch-site": site}
        assert status(doors, headers=from_site) == 403
        assert status(doors, headers=from_site | link) == 403
        assert status(linked, headers=from_site | link) == 200
        assert status(linked, "POST", headers=from_site | link) == 403
        assert (
            status(linked, headers=from_site | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"})
            == 403
        )
        frame = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
        assert status(linked, headers=from_site | frame) == 403


def test_a_door_may_have_pages_of_its_own() -> None:
    own = {"origin": "http://localhost:8080", "sec-fetch-site": "same-origin"}
    assert status(Doors.read({}), "POST", headers=own) == 403
    doors = Doors.read({}, own_pages=True)
    assert status(doors, "POST", headers=own) == 200
    assert status(doors, "POST", headers={"origin": "http://localhost:3000"}) == 403
    assert status(doors, "POST", headers={"origin": "http://localhost"}) == 403
    # After DNS rebinding the page and the host are of one name.
    rebound = {"origin": "http://evil.example:8080", "host": "evil.example:8080"}
    assert status(doors, "POST", headers=rebound) == 403


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("ALLOWED_HOSTS", "stack.example.org:443", "stack.example.org:443"),
        ("ALLOWED_HOSTS", "https://stack.example.org", "https://stack.example.org"),
        ("ALLOWED_HOSTS", "*", "*"),
        ("ALLOWED_HOSTS", "a.*.example.org", "a.*.example.org"),
        ("ALLOWED_ORIGINS", "localhost:3000", "localhost:3000"),
        ("ALLOWED_ORIGINS", "http://localhost:3000/", "http://localhost:3000/"),
        ("ALLOWED_ORIGINS", "http://a, *", "*"),
        ("ALLOWED_ORIGINS", "null", "null"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, named: str) -> None:
    with pytest.raises(SettingError) as raised:
        Settings.read({name: value})
    assert name in str(raised.value)
    assert repr(named) in str(raised.value)
