"""`promise.*`."""

import pytest

from conformance.client import HOUR, Server, now


def test_create_answers_the_record(server: Server) -> None:
    id = server.id("p")
    at = now() + HOUR
    data = {"id": id, "timeoutAt": at, "param": {"headers": {"h": "1"}, "data": "eA=="}, "tags": {"t": "v"}}
    before = now()
    status, answer = server.envelope("promise.create", data)
    created = answer["data"]["promise"].pop("createdAt")
    assert before - 1000 <= created <= now() + 1000
    assert (status, answer) == (
        200,
        {
            "kind": "promise.create",
            "head": {"corrId": "c", "status": 200, "version": "2026-04-01"},
            "data": {
                "promise": {
                    "id": id,
                    "state": "pending",
                    "param": {"headers": {"h": "1"}, "data": "eA=="},
                    "value": {},
                    "tags": {"t": "v"},
                    "timeoutAt": at,
                }
            },
        },
    )


def test_create_again_answers_what_exists(server: Server) -> None:
    first = server.create("p", a="1")
    again = server.ok("promise.create", {"id": server.id("p"), "timeoutAt": 5, "tags": {"b": "2"}})["promise"]
    assert again == first


def test_param_and_tags_may_be_left_out(server: Server) -> None:
    promise = server.ok("promise.create", {"id": server.id("p"), "timeoutAt": now() + HOUR})["promise"]
    assert (promise["param"], promise["tags"]) == ({}, {})


@pytest.mark.parametrize("state", ["resolved", "rejected", "rejected_canceled"])
def test_settle(server: Server, state: str) -> None:
    server.create("p")
    settled = server.settle("p", state, data="dg==", headers={})
    assert (settled["state"], settled["value"]) == (state, {"data": "dg==", "headers": {}})
    assert settled["createdAt"] <= settled["settledAt"] <= now() + 1000
    # AND it never changes again
    assert server.settle("p", "resolved", data="b3RoZXI=") == settled
    assert server.promise("p") == settled


def test_unknown_promises(server: Server) -> None:
    id = server.id("none")
    assert server("promise.get", {"id": id}) == (404, "Promise not found")
    assert server("promise.settle", {"id": id, "state": "resolved"}) == (404, "Promise not found")
    listen = {"awaited": id, "address": "poll://any@g"}
    assert server("promise.register_listener", listen) == (404, "Awaited promise not found")
    assert server("promise.register_callback", {"awaited": id, "awaiter": "x"}) == (
        404,
        "Awaited promise not found",
    )


@pytest.mark.parametrize(
    ("timer", "state"), [("true", "resolved"), ("false", "rejected_timedout"), (None, "rejected_timedout")]
)
def test_a_promise_created_late_has_ended(server: Server, timer: str | None, state: str) -> None:
    tags = {"resonate:timer": timer} if timer else {}
    promise = server.ok("promise.create", {"id": server.id("p"), "timeoutAt": 1000, "tags": tags})["promise"]
    assert promise == {
        "id": server.id("p"),
        "state": state,
        "param": {},
        "value": {},
        "tags": tags,
        "timeoutAt": 1000,
        "createdAt": 1000,
        "settledAt": 1000,
    }


def test_a_late_promise_with_a_target_has_a_fulfilled_task(server: Server) -> None:
    tags = {"resonate:target": "poll://any@g"}
    server.ok("promise.create", {"id": server.id("p"), "timeoutAt": 1000, "tags": tags})
    assert server.task("p") == {"id": server.id("p"), "state": "fulfilled", "version": 0, "resumes": 0}


@pytest.mark.parametrize(
    "target",
    ["", "workers", "poll://g", "poll://all@g", "poll://any@", "ftp://x/y", "gcps://project", "http://"],
)
def test_an_address_that_leads_nowhere_is_refused(server: Server, target: str) -> None:
    data = {"id": server.id("p"), "timeoutAt": now() + HOUR, "tags": {"resonate:target": target}}
    assert server("promise.create", data) == (400, "Invalid resonate:target address")
    assert server("promise.get", {"id": server.id("p")})[0] == 404
    server.create("q")
    if target:
        listen = {"awaited": server.id("q"), "address": target}
        assert server("promise.register_listener", listen) == (400, "Invalid listener address")


@pytest.mark.parametrize("target", ["poll://any@g", "poll://uni@g/i", "https://x/y", "gcps://p/t", "bash://"])
def test_the_schemes_of_addresses(server: Server, target: str) -> None:
    server.create("p", target, timeout=1)


def test_callbacks_need_a_task(server: Server) -> None:
    server.create("p")
    server.create("plain")
    none = {"awaited": server.id("p"), "awaiter": server.id("none")}
    assert server("promise.register_callback", none) == (422, "Awaiter promise not found")
    plain = {"awaited": server.id("p"), "awaiter": server.id("plain")}
    assert server("promise.register_callback", plain) == (422, "Awaiter promise has no resonate:target tag")


def test_a_callback_registered_too_late_is_ready(server: Server) -> None:
    server.create("p")
    server.held("t")
    server.settle("p")
    data = {"awaited": server.id("p"), "awaiter": server.id("t")}
    assert server.ok("promise.register_callback", data)["promise"]["state"] == "resolved"
    assert server.task("t")["resumes"] == 1


def test_search_in_pages(server: Server) -> None:
    tag = {"run": server.unique}
    for n in range(5):
        server.create(f"p{n}", **tag)
    server.settle("p3")
    found: list[str] = []
    cursor = None
    while True:
        answer = server.ok("promise.search", {"tags": tag, "limit": 2, "cursor": cursor})
        found += [promise["id"] for promise in answer["promises"]]
        assert len(answer["promises"]) <= 2
        if "cursor" not in answer:
            break
        cursor = answer["cursor"]
        assert cursor == found[-1]
    assert found == [server.id(f"p{n}") for n in range(5)]
    pending = server.ok("promise.search", {"tags": tag, "state": "pending"})["promises"]
    assert [promise["id"] for promise in pending] == [server.id(f"p{n}") for n in (0, 1, 2, 4)]
    both = server.ok("promise.search", {"tags": {**tag, "other": "x"}})
    assert both == {"promises": []}


def test_search_limits(server: Server) -> None:
    assert server("promise.search", {"limit": 1001}) == (400, "Invalid 'limit' — must be between 1 and 1000")
    assert server("promise.search", {"limit": 0})[0] == 400


def test_search_does_not_end_what_is_overdue(debug: Server) -> None:
    head = {"resonate:debug_time": 1000}
    debug.ok("promise.create", {"id": "p", "timeoutAt": 2000}, **head)
    later = {"resonate:debug_time": 3000}
    assert debug.ok("promise.search", {}, **later)["promises"][0]["state"] == "pending"
    # THEN a request for it does
    assert debug.ok("promise.get", {"id": "p"}, **later)["promise"]["settledAt"] == 2000
    assert debug.ok("promise.search", {}, **later)["promises"][0]["state"] == "rejected_timedout"
