"""Each difference that the differential fuzzer found. The embedded server once answered each of them differently."""

from conformance.client import Server


def test_a_cron_of_one_year_is_not_found_from_september(debug: Server) -> None:
    """In the first year that it examines, the official server's cron starts at the current month, even if that year is
    a later one.
    """
    data = {"id": "s", "cron": "0 0 0 1 1 ? 2050", "promiseId": "p", "promiseTimeout": 1}
    found = debug.ok("schedule.create", data, **{"resonate:debug_time": 1_000_000_000_000})
    assert found["schedule"]["nextRunAt"] == 1_000_000_060_000


def test_a_cron_without_an_occurrence_runs_in_a_minute(debug: Server) -> None:
    data = {"id": "s", "cron": "0 0 31 2 *", "promiseId": "p", "promiseTimeout": 1}
    assert debug.ok("schedule.create", data, **{"resonate:debug_time": 5})["schedule"]["nextRunAt"] == 60_005


def test_a_fenced_action_may_be_a_list(server: Server) -> None:
    server.held("t")
    server.create("p")
    status, answer = server.fence("t", "promise.settle", [server.id("p"), "resolved"])
    assert status == 200
    assert answer["action"]["data"]["promise"]["state"] == "resolved"


def test_request_data_of_nested_objects_may_be_lists(server: Server) -> None:
    id = server.id("p")
    data = {"id": id, "timeoutAt": 4_000_000_000_000, "param": [{"h": "1"}, "x"]}
    assert server.ok("promise.create", data)["promise"]["param"] == {"headers": {"h": "1"}, "data": "x"}


def test_a_variant_may_be_an_object(server: Server) -> None:
    server.create("p")
    settled = server.ok("promise.settle", {"id": server.id("p"), "state": {"resolved": None}})
    assert settled["promise"]["state"] == "resolved"


def test_an_unknown_field_may_be_deeply_nested(server: Server) -> None:
    body = b'{"kind":"promise.get","head":{"corrId":"c","version":"2026-04-01"},"data":{"id":"none"},"x":%s}'
    assert server.raw(body % (b"[" * 300 + b"]" * 300))[0] == 404


def test_an_awaiter_that_expires_with_what_it_awaits_is_not_offered_again(debug: Server) -> None:
    def at(time: int, kind: str, data: object) -> None:
        debug.ok(kind, data, **{"resonate:debug_time": time})

    tags = {"resonate:target": "http://worker.invalid/"}
    create = {"kind": "promise.create", "head": {}, "data": {"id": "t", "timeoutAt": 1000, "tags": tags}}
    at(0, "task.create", {"pid": "w", "ttl": 60_000, "action": create})
    at(0, "promise.create", {"id": "p", "timeoutAt": 1000})
    wait = {"kind": "promise.register_callback", "head": {}, "data": {"awaited": "p", "awaiter": "t"}}
    at(0, "task.suspend", {"id": "t", "version": 1, "actions": [wait]})
    at(1000, "promise.register_callback", {"awaited": "p", "awaiter": "t"})
    snap = debug.ok("debug.snap", {})
    assert snap["messages"] == []
    assert [promise["state"] for promise in snap["promises"]] == ["rejected_timedout"] * 2


def test_schedules_fire_in_the_order_of_their_time_then_of_their_id(debug: Server) -> None:
    """Two schedules create the same promise; the one of the first is kept."""
    for id in ("b", "a"):
        data = {"id": id, "cron": "* * * * *", "promiseId": "same", "promiseTimeout": 10**9}
        debug.ok("schedule.create", data, **{"resonate:debug_time": 0})
    debug.ok("debug.tick", {"time": 60_000})
    assert debug.ok("promise.get", {"id": "same"})["promise"]["tags"]["resonate:schedule"] == "a"
