"""`schedule.*`."""

from typing import Any

import pytest

from conformance.client import Server


def schedule(server: Server, name: str, cron: str = "* * * * *", **more: Any) -> dict[str, Any]:
    return {"id": server.id(name), "cron": cron, "promiseId": "p", "promiseTimeout": 1000, **more}


def test_create_get_delete(server: Server) -> None:
    data = schedule(server, "s", promiseParam={"data": "eA=="}, promiseTags={"a": "b"})
    created = server.ok("schedule.create", data)["schedule"]
    assert created["createdAt"] < created["nextRunAt"] <= created["createdAt"] + 60_000
    assert created["nextRunAt"] % 60_000 == 0
    assert {**data, **{k: created[k] for k in ("createdAt", "nextRunAt")}} == created
    # AND once made, another one of the id changes nothing
    assert server.ok("schedule.create", schedule(server, "s", "0 0 1 1 *"))["schedule"] == created
    assert server.ok("schedule.get", {"id": server.id("s")})["schedule"] == created
    assert server("schedule.delete", {"id": server.id("s")}) == (200, {})
    for kind in ("schedule.get", "schedule.delete"):
        assert server(kind, {"id": server.id("s")}) == (404, "Schedule not found")


@pytest.mark.parametrize(
    "cron", ["x", "* * * *", "60 * * * *", "* * * * 0", "* * * * 8", "*/0 * * * *", "5-1 * * * *"]
)
def test_invalid_crons(server: Server, cron: str) -> None:
    assert server("schedule.create", schedule(server, "s", cron)) == (400, "Invalid cron expression")


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/5 * * * *", 1_000_000_200_000),
        ("30 * * * * *", 1_000_000_050_000),  # six fields: with seconds
        ("0 0 * * 1", 1_000_598_400_000),  # 1 is Sunday
        ("@hourly", 1_000_000_800_000),
    ],
)
def test_crons(debug: Server, cron: str, expected: int) -> None:
    # 2001-09-09T01:46:40Z, a Sunday
    found = debug.ok(
        "schedule.create", schedule(debug, "s", cron), **{"resonate:debug_time": 1_000_000_000_000}
    )
    assert found["schedule"]["nextRunAt"] == expected


def test_search(debug: Server) -> None:
    for n in range(12):
        debug.ok("schedule.create", schedule(debug, f"s{n:02}", promiseTags={"n": str(n % 2)}))
    page = debug.ok("schedule.search", {})
    assert [one["id"] for one in page["schedules"]] == [debug.id(f"s{n:02}") for n in range(10)]
    assert page["cursor"] == debug.id("s09")
    rest = debug.ok("schedule.search", {"cursor": page["cursor"]})
    assert [one["id"] for one in rest["schedules"]] == [debug.id("s10"), debug.id("s11")]
    assert "cursor" not in rest
    odd = debug.ok("schedule.search", {"tags": {"n": "1"}, "limit": 3})
    assert [one["id"] for one in odd["schedules"]] == [debug.id(f"s{n:02}") for n in (1, 3, 5)]


def test_a_schedule_fires(debug: Server) -> None:
    data = {
        "id": "s",
        "cron": "* * * * *",
        "promiseId": "run/{{.id}}/{{.timestamp}}",
        "promiseTimeout": 3_600_000,
        "promiseParam": {"data": "eA=="},
        "promiseTags": {"resonate:target": "http://worker.invalid/"},
    }
    debug.ok("schedule.create", data, **{"resonate:debug_time": 1000})
    debug.ok("debug.tick", {"time": 59_999})
    assert debug.ok("debug.snap", {})["promises"] == []
    debug.ok("debug.tick", {"time": 61_000})
    snap = debug.ok("debug.snap", {})
    id = "run/s/60000"
    assert snap["promises"] == [
        {
            "id": id,
            "state": "pending",
            "param": {"data": "eA=="},
            "value": {},
            "tags": {
                "resonate:target": "http://worker.invalid/",
                "resonate:schedule": "s",
                "resonate:origin": id,
                "resonate:branch": id,
                "resonate:parent": id,
                "resonate:prefix": id,
            },
            "timeoutAt": 3_660_000,
            "createdAt": 60_000,
        }
    ]
    assert snap["taskTimeouts"] == [{"id": id, "type": 0, "timeout": 90_000}]
    found = debug.ok("schedule.get", {"id": "s"})["schedule"]
    assert (found["lastRunAt"], found["nextRunAt"]) == (60_000, 120_000)


def test_one_that_is_behind_fires_once_a_tick(debug: Server) -> None:
    data = {"id": "s", "cron": "* * * * *", "promiseId": "{{.timestamp}}", "promiseTimeout": 1}
    debug.ok("schedule.create", data, **{"resonate:debug_time": 0})
    for n in (1, 2, 3):
        debug.ok("debug.tick", {"time": 1_000_000})
        assert len(debug.ok("debug.snap", {})["promises"]) == n
    late = debug.ok("promise.get", {"id": "60000"})["promise"]
    assert (late["state"], late["createdAt"], late["settledAt"]) == ("rejected_timedout", 60_000, 60_001)
