"""`task.*`."""

import time
from typing import Any

import pytest

from conformance.client import HOUR, Server, now


def test_a_promise_with_a_target_has_a_pending_task(server: Server) -> None:
    server.create("t", f"poll://any@{server.unique}")
    assert server.task("t") == {"id": server.id("t"), "state": "pending", "version": 0, "resumes": 0}


def test_a_plain_promise_has_none(server: Server) -> None:
    server.create("p")
    assert server("task.get", {"id": server.id("p")}) == (404, "Task not found")


def test_acquire(server: Server) -> None:
    promise = server.create("t", f"poll://any@{server.unique}")
    data = {"id": server.id("t"), "version": 0, "pid": "w", "ttl": HOUR}
    task = {"id": server.id("t"), "state": "acquired", "version": 1, "resumes": 0, "pid": "w", "ttl": HOUR}
    assert server.ok("task.acquire", data) == {"task": task, "promise": promise, "preload": []}
    assert server.task("t") == task
    # AND nobody else gets it
    assert server("task.acquire", {**data, "version": 1}) == (409, "Task is not pending")


def test_acquire_needs_the_version(server: Server) -> None:
    server.create("t", f"poll://any@{server.unique}")
    data = {"id": server.id("t"), "version": 1, "pid": "w", "ttl": HOUR}
    assert server("task.acquire", data) == (409, "Version mismatch")
    assert server("task.acquire", {**data, "id": server.id("none")}) == (404, "Task not found")


def test_create_gives_the_task_at_once(server: Server) -> None:
    task = server.held("t", ttl=5000)
    assert task == {
        "id": server.id("t"), "state": "acquired", "version": 1, "resumes": 0, "pid": "pid", "ttl": 5000,
    }  # fmt: skip


def test_create_takes_an_offered_task(server: Server) -> None:
    server.create("t", f"poll://any@{server.unique}")
    assert server.held("t")["version"] == 1
    server.ok("task.release", {"id": server.id("t"), "version": 1})
    assert server.held("t")["version"] == 2


def test_create_of_what_is_held_conflicts(server: Server) -> None:
    server.held("t")
    status, answer = _task_create(server, "t")
    assert (status, answer) == (409, "Already exists")


def test_create_of_a_plain_promise(server: Server) -> None:
    server.create("p")
    assert _task_create(server, "p") == (422, "Promise exists without a target task")


def test_create_of_what_is_done(server: Server) -> None:
    server.held("t")
    server.settle("t")
    status, answer = _task_create(server, "t")
    assert status == 200
    assert answer["task"] == {"id": server.id("t"), "state": "fulfilled", "version": 1, "resumes": 0}
    assert (answer["promise"]["state"], answer["preload"]) == ("resolved", [])


def test_create_needs_a_target(server: Server) -> None:
    action = {"kind": "promise.create", "head": {}, "data": {"id": server.id("t"), "timeoutAt": now() + HOUR}}
    assert server("task.create", {"pid": "w", "ttl": 1, "action": action}) == (
        400,
        "Action must have a resonate:target tag",
    )


def test_release(server: Server) -> None:
    server.held("t")
    assert server("task.release", {"id": server.id("t"), "version": 2}) == (
        409,
        "Task version mismatch or invalid state",
    )
    assert server("task.release", {"id": server.id("t"), "version": 1}) == (200, {})
    assert server.task("t") == {"id": server.id("t"), "state": "pending", "version": 1, "resumes": 0}


def test_fulfill(server: Server) -> None:
    server.held("t")
    assert _fulfill(server, "t", 2)[0] == 409
    status, answer = _fulfill(server, "t", 1)
    assert status == 200
    assert list(answer) == ["promise"]
    assert answer["promise"]["value"] == {"data": "ZG9uZQ=="}
    assert server.task("t")["state"] == "fulfilled"
    assert _fulfill(server, "t", 1) == (409, "Task version mismatch or invalid state")
    assert _fulfill(server, "none", 1) == (404, "Task not found")


def test_fulfill_settles_its_own_promise_only(server: Server) -> None:
    action = {"kind": "promise.settle", "head": {}, "data": {"id": server.id("p"), "state": "resolved"}}
    data = {"id": server.id("t"), "version": 1, "action": action}
    assert server("task.fulfill", data) == (400, "Action ID must match the task ID")


def test_a_promise_settled_by_another_fulfils_the_task(server: Server) -> None:
    server.held("t")
    server.settle("t", "rejected_canceled")
    assert server.task("t")["state"] == "fulfilled"
    assert _fulfill(server, "t", 1)[0] == 409


def test_suspend_and_resume(server: Server) -> None:
    server.held("t")
    server.create("a")
    server.create("b")
    assert server.suspend("t", "a", "b", "a") == (200, {})
    assert server.task("t") == {"id": server.id("t"), "state": "suspended", "version": 1, "resumes": 0}
    server.settle("b")
    assert server.task("t") == {"id": server.id("t"), "state": "pending", "version": 1, "resumes": 1}
    server.settle("a")
    assert server.task("t")["resumes"] == 2
    # AND whoever acquires it starts from the beginning
    assert server.held("t")["version"] == 2
    assert server.task("t")["resumes"] == 0


def test_suspend_for_what_has_ended(server: Server) -> None:
    server.held("t", **{"resonate:branch": server.unique})
    server.create("a", **{"resonate:branch": server.unique})
    done = server.settle("a")
    server.create("b")
    status, answer = server.suspend("t", "b", "a")
    assert (status, answer) == (300, {"preload": [done]})
    assert server.task("t")["state"] == "acquired"


def test_suspend_refused(server: Server) -> None:
    server.held("t")
    server.create("a")
    assert server.suspend("t", "a", "none") == (422, "Awaited promise not found")
    assert server.suspend("t", "a", version=2) == (409, "Task is not acquired or version mismatch")
    assert server.suspend("none", "a") == (404, "Task not found")
    assert server.suspend("t")[0] == 400
    assert server.suspend("t", "t") == (400, "Awaited and awaiter must be different promises")


def test_fence_create(server: Server) -> None:
    branch = {"resonate:branch": server.unique}
    server.held("t", **branch)
    data = {"id": server.id("c"), "timeoutAt": now() + HOUR, "param": {}, "tags": branch}
    status, answer = server.fence("t", "promise.create", data)
    assert status == 200
    inner = answer["action"]
    assert (inner["kind"], inner["head"]) == (
        "promise.create",
        {"corrId": "c", "status": 200, "version": "2026-04-01"},
    )
    assert inner["data"] == {"promise": server.promise("c")}
    assert answer["preload"] == [server.promise("c")]


def test_fence_settle(server: Server) -> None:
    server.held("t")
    server.create("c")
    status, answer = server.fence("t", "promise.settle", {"id": server.id("c"), "state": "resolved"})
    assert (status, answer["preload"]) == (200, [])
    assert answer["action"]["data"]["promise"]["state"] == "resolved"
    status, answer = server.fence("t", "promise.settle", {"id": server.id("none"), "state": "resolved"})
    assert status == 200
    assert (answer["action"]["head"]["status"], answer["action"]["data"]) == (404, "Promise not found")


def test_fence_keeps_out_who_lost_the_task(server: Server) -> None:
    server.held("t")
    server.ok("task.release", {"id": server.id("t"), "version": 1})
    server.held("t")
    data = {"id": server.id("c"), "timeoutAt": now() + HOUR}
    assert server.fence("t", "promise.create", data, version=1) == (409, "Version mismatch")
    assert server("promise.get", {"id": server.id("c")})[0] == 404
    assert server.fence("none", "promise.create", data) == (404, "Task not found")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("promise.get", {"id": "x"}),
        ("promise.create", {"id": "x"}),
        ("promise.create", None),
        ("promise.settle", {"id": "", "state": "resolved"}),
    ],
)
def test_fence_of_nonsense(server: Server, kind: str, data: Any) -> None:
    server.held("t")
    assert server.fence("t", kind, data)[0] == 400


def test_fence_of_itself(server: Server) -> None:
    assert server.fence("t", "promise.settle", {"id": server.id("t"), "state": "resolved"}) == (
        400,
        "Action ID must not equal the task ID",
    )


def test_heartbeat_is_silent(server: Server) -> None:
    server.held("t")
    tasks = [{"id": server.id("t"), "version": 1}, {"id": server.id("none"), "version": 7}]
    assert server("task.heartbeat", {"pid": "pid", "tasks": tasks}) == (200, {})
    assert server("task.heartbeat", {"pid": "another", "tasks": []}) == (200, {})


def test_halt_and_continue(server: Server) -> None:
    server.held("t")
    assert server("task.continue", {"id": server.id("t")}) == (409, "Task is not halted")
    assert server("task.halt", {"id": server.id("t")}) == (200, {})
    assert server("task.halt", {"id": server.id("t")}) == (200, {})
    assert server.task("t") == {"id": server.id("t"), "state": "halted", "version": 1, "resumes": 0}
    assert _fulfill(server, "t", 1)[0] == 409
    assert server("task.continue", {"id": server.id("t")}) == (200, {})
    assert server.task("t")["state"] == "pending"
    server.settle("t")
    assert server("task.halt", {"id": server.id("t")}) == (409, "Task is fulfilled")
    for kind in ("task.halt", "task.continue"):
        assert server(kind, {"id": server.id("none")}) == (404, "Task not found")


def test_a_halted_task_is_not_resumed(server: Server) -> None:
    server.held("t")
    server.create("p")
    server.suspend("t", "p")
    server.ok("task.halt", {"id": server.id("t")})
    server.settle("p")
    assert server.task("t")["state"] == "halted"


def test_search(debug: Server) -> None:
    for n in range(3):
        debug.held(f"t{n}")
    debug.ok("task.release", {"id": debug.id("t1"), "version": 1})
    first = debug.ok("task.search", {"limit": 2})
    assert first == {"tasks": [debug.task("t0"), debug.task("t1")], "cursor": debug.id("t1")}
    assert debug.ok("task.search", {"limit": 2, "cursor": first["cursor"]}) == {"tasks": [debug.task("t2")]}
    assert debug.ok("task.search", {"state": "pending"}) == {"tasks": [debug.task("t1")]}
    assert debug("task.search", {"limit": 1001}) == (400, "Invalid 'limit' — must be between 1 and 1000")


def test_the_preload_is_the_branch_by_id(server: Server) -> None:
    branch = {"resonate:branch": server.unique}
    for name in ("c", "a", "b"):
        server.create(name, **branch)
    server.create("other", **{"resonate:branch": "another"})
    server.create("t", f"poll://any@{server.unique}", **branch)
    data = {"id": server.id("t"), "version": 0, "pid": "w", "ttl": HOUR}
    preload = server.ok("task.acquire", data)["preload"]
    assert [promise["id"] for promise in preload] == [server.id(name) for name in ("a", "b", "c")]


def test_leases_and_retries(debug: Server) -> None:
    def at(time: int, kind: str, data: Any) -> Any:
        return debug.ok(kind, data, **{"resonate:debug_time": time})

    tags = {"resonate:target": "http://worker.invalid/"}
    at(0, "promise.create", {"id": "t", "timeoutAt": 10**9, "tags": tags})
    assert debug.ok("debug.snap", {})["taskTimeouts"] == [{"id": "t", "type": 0, "timeout": 30_000}]
    at(0, "debug.tick", {"time": 29_999})
    assert debug.ok("debug.snap", {})["taskTimeouts"][0]["timeout"] == 30_000
    at(0, "debug.tick", {"time": 30_000})
    assert debug.ok("debug.snap", {})["taskTimeouts"][0]["timeout"] == 60_000
    at(30_000, "task.acquire", {"id": "t", "version": 0, "pid": "w", "ttl": 5000})
    assert debug.ok("debug.snap", {})["taskTimeouts"] == [{"id": "t", "type": 1, "timeout": 35_000}]
    at(33_000, "task.heartbeat", {"pid": "w", "tasks": [{"id": "t", "version": 1}]})
    at(33_000, "task.heartbeat", {"pid": "other", "tasks": [{"id": "t", "version": 1}]})
    at(34_000, "task.heartbeat", {"pid": "w", "tasks": [{"id": "t", "version": 0}]})
    assert debug.ok("debug.snap", {})["taskTimeouts"][0]["timeout"] == 38_000
    at(0, "debug.tick", {"time": 38_000})
    snap = debug.ok("debug.snap", {})
    assert snap["tasks"] == [{"id": "t", "state": "pending", "version": 1, "resumes": 0}]
    assert snap["taskTimeouts"] == [{"id": "t", "type": 0, "timeout": 68_000}]
    task = {"task": {"id": "t", "version": 1}}
    message = {"kind": "execute", "head": {}, "data": task}
    assert snap["messages"] == [{"address": "http://worker.invalid/", "message": message}]


def _task_create(server: Server, name: str) -> tuple[int, Any]:
    tags = {"resonate:target": f"poll://any@{server.unique}"}
    data = {"id": server.id(name), "timeoutAt": now() + HOUR, "param": {}, "tags": tags}
    action = {"kind": "promise.create", "head": {}, "data": data}
    return server("task.create", {"pid": "w", "ttl": HOUR, "action": action})


def _fulfill(server: Server, name: str, version: int) -> tuple[int, Any]:
    data = {"id": server.id(name), "state": "resolved", "value": {"data": "ZG9uZQ=="}}
    action = {"kind": "promise.settle", "head": {}, "data": data}
    return server("task.fulfill", {"id": server.id(name), "version": version, "action": action})


def test_a_wait_that_has_ended_is_told_from_a_lease_that_has(server: Server) -> None:
    """The stack's worker uses this to find jobs that kill their workers (docs/decisions/0083)."""

    def offered() -> Any:
        until = time.monotonic() + 10
        while (task := server.task("t"))["state"] != "pending" and time.monotonic() < until:
            time.sleep(0.02)
        return task

    def acquire(version: int, ttl: int) -> Any:
        return server.ok("task.acquire", {"id": server.id("t"), "version": version, "pid": "w", "ttl": ttl})

    branch = {"resonate:branch": server.id("t")}
    server.held("t", **branch)
    server.create("awaited")
    assert server.suspend("t", "awaited") == (200, {})
    server.settle("awaited")
    # Resumed: this is reported until a worker has acquired it.
    assert {key: offered()[key] for key in ("state", "version", "resumes")} == {
        "state": "pending",
        "version": 1,
        "resumes": 1,
    }
    acquire(1, 100)
    # Its lease has expired, or it was given back: neither is reported.
    assert (offered()["version"], offered()["resumes"]) == (2, 0)
    acquire(2, HOUR)
    server.ok("task.release", {"id": server.id("t"), "version": 3})
    assert (offered()["version"], offered()["resumes"]) == (3, 0)
    # A promise without a target and with a deadline in the past is settled when it is created, and is sent along with
    # the task whose branch it belongs to.
    note = server.create("t:lost.3", timeout=0, **branch)
    assert note["state"] == "rejected_timedout"
    assert [found["id"] for found in acquire(3, HOUR)["preload"]] == [server.id("t:lost.3")]
