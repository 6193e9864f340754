"""Checks the rules' invariants under random sequences of requests."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conftest import State

TASKS = ("t0", "t1", "t2")
PLAIN = ("p0", "p1", "p2")
IDS = (*TASKS, *PLAIN)
PIDS = ("w1", "w2")
TTL = 5000


class Life(RuleBasedStateMachine):
    """Three tasks, three plain promises, two workers."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.versions: dict[str, int] = {}
        #: id -> the record of a promise once it was settled
        self.settled: dict[str, Any] = {}
        #: (promise, address) registered while it was pending
        self.listening: set[tuple[str, str]] = set()
        #: task -> what it suspended for
        self.waiting: dict[str, set[str]] = {}
        #: task -> (worker, until when) of its lease, by the answers
        self.leases: dict[str, tuple[str, int]] = {}

    def call(self, kind: str, **data: Any) -> tuple[int, Any]:
        return self.state(kind, **data)

    def rows(self) -> dict[str, dict[str, Any]]:
        cursor = self.state.tx.execute("SELECT * FROM promises")
        names = [column[0] for column in cursor.description]
        return {row[1]: dict(zip(names, row, strict=True)) for row in cursor}

    @rule(id=st.sampled_from(IDS), timeout=st.sampled_from([-1, 0, 1, 4000, 10**6]))
    def create(self, id: str, timeout: int) -> None:
        self.state.create(id, target="poll://any@g" if id in TASKS else None, timeout=timeout)

    @rule(id=st.sampled_from(TASKS), pid=st.sampled_from(PIDS), right=st.booleans())
    def acquire(self, id: str, pid: str, right: bool) -> None:
        row = self.rows().get(id)
        version = (row["task_version"] if row else 0) + (0 if right else 1)
        status, answer = self.call("task.acquire", id=id, version=version, pid=pid, ttl=TTL)
        if status == 200:
            assert row is not None
            # THEN nobody else holds it: it was pending, or its promise's lease had run out and been offered again.
            assert row["task_state"] == "pending"
            assert answer["task"]["version"] == version + 1
            self.leases[id] = (pid, self.state.now + TTL)

    @rule(id=st.sampled_from(TASKS), pid=st.sampled_from(PIDS))
    def heartbeat(self, id: str, pid: str) -> None:
        row = self.rows().get(id)
        version = row["task_version"] if row else 0
        self.call("task.heartbeat", pid=pid, tasks=[{"id": id, "version": version}])
        after = self.rows().get(id)
        if row and after and row["task_at"] != after["task_at"]:
            assert row["task_state"] == "acquired"
            assert row["task_pid"] == pid
            self.leases[id] = (pid, self.state.now + TTL)

    @rule(id=st.sampled_from(IDS), state=st.sampled_from(["resolved", "rejected", "rejected_canceled"]))
    def settle(self, id: str, state: str) -> None:
        self.call("promise.settle", id=id, state=state, value={"data": state})

    @rule(id=st.sampled_from(TASKS), awaited=st.lists(st.sampled_from(IDS), min_size=1, max_size=3))
    def suspend(self, id: str, awaited: list[str]) -> None:
        row = self.rows().get(id)
        actions = [
            {"kind": "promise.register_callback", "head": {}, "data": {"awaited": a, "awaiter": id}}
            for a in awaited
        ]
        version = row["task_version"] if row else 1
        status, _ = self.call("task.suspend", id=id, version=version, actions=actions)
        if status == 200:
            self.waiting[id] = set(awaited)

    @rule(id=st.sampled_from(TASKS), other=st.sampled_from(PLAIN), settle=st.booleans())
    def fence(self, id: str, other: str, settle: bool) -> None:
        before = self.rows()
        row = before.get(id)
        version = row["task_version"] if row else 1
        action: dict[str, Any] = {
            "kind": "promise.settle",
            "head": {},
            "data": {"id": other, "state": "resolved", "value": {"data": "f"}},
        }
        if not settle:
            action = {
                "kind": "promise.create",
                "head": {},
                "data": {"id": other, "timeoutAt": self.state.now + 4000},
            }
        status, _ = self.call("task.fence", id=id, version=version, action=action)
        if row is None or row["task_state"] != "acquired":
            # THEN a worker that does not hold the task has changed nothing.
            assert status != 200
            assert self.rows().get(other, {}).get("value") == before.get(other, {}).get("value")
            assert (other in self.rows()) == (other in before)

    @rule(
        id=st.sampled_from(TASKS),
        kind=st.sampled_from(["task.release", "task.fulfill", "task.halt", "task.continue"]),
    )
    def other(self, id: str, kind: str) -> None:
        row = self.rows().get(id)
        version = row["task_version"] if row else 1
        data: dict[str, Any] = {"id": id}
        if kind in ("task.release", "task.fulfill"):
            data["version"] = version
        if kind == "task.fulfill":
            data["action"] = {"kind": "promise.settle", "head": {}, "data": {"id": id, "state": "resolved"}}
        self.call(kind, **data)

    @rule(id=st.sampled_from(IDS), address=st.sampled_from(["http://a/", "poll://uni@g/1"]))
    def listen(self, id: str, address: str) -> None:
        status, answer = self.call("promise.register_listener", awaited=id, address=address)
        if status == 200 and answer["promise"]["state"] == "pending":
            self.listening.add((id, address))

    @rule(awaited=st.sampled_from(IDS), awaiter=st.sampled_from(TASKS))
    def callback(self, awaited: str, awaiter: str) -> None:
        if awaited != awaiter:
            self.call("promise.register_callback", awaited=awaited, awaiter=awaiter)

    @rule(ms=st.sampled_from([1, 3999, 5000, 40_000]))
    def tick(self, ms: int) -> None:
        before = self.rows()
        self.state.now += ms
        self.call("debug.tick", time=self.state.now)
        for id, row in self.rows().items():
            was = before[id]
            # THEN nothing fired early, and nothing that was due was left.
            if was["state"] == "pending" and row["state"] != "pending":
                assert was["timeout_at"] <= self.state.now
            assert row["state"] != "pending" or row["timeout_at"] > self.state.now
            if was["task_state"] == "acquired" and row["task_state"] == "pending":
                assert self.leases[id][1] <= self.state.now

    @precondition(lambda self: self.settled)
    @rule()
    def read_again(self) -> None:
        for id, record in self.settled.items():
            assert self.state.promise(id) == record

    @invariant()
    def versions_only_grow(self) -> None:
        for id, row in self.rows().items():
            if row["task_state"] is not None:
                assert row["task_version"] >= self.versions.get(id, 0)
                self.versions[id] = row["task_version"]

    @invariant()
    def a_settled_promise_never_changes(self) -> None:
        for id, row in self.rows().items():
            if row["state"] != "pending":
                record = self.state.promise(id)
                assert self.settled.setdefault(id, record) == record
                assert row["task_state"] in (None, "fulfilled")
            else:
                assert row["task_state"] != "fulfilled"

    @invariant()
    def every_listener_is_told_once(self) -> None:
        ended = {pair for pair in self.listening if self.rows()[pair[0]]["state"] != "pending"}
        assert sorted(ended) == sorted(self.state.told)

    @invariant()
    def every_awaiter_goes_on(self) -> None:
        rows = self.rows()
        for id, awaited in self.waiting.items():
            if any(rows[a]["state"] != "pending" for a in awaited):
                assert rows[id]["task_state"] != "suspended"

    @invariant()
    def only_an_acquired_task_has_a_holder(self) -> None:
        for row in self.rows().values():
            assert (row["task_pid"] is not None) == (row["task_state"] == "acquired")
            assert (row["task_at"] is not None) == (row["task_state"] in ("pending", "acquired"))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_an_awaiter_that_expires_with_what_it_awaits_is_not_offered_again(state: State) -> None:
    state.create("t", timeout=1000)
    state.create("p", target=None, timeout=1000)
    state("task.acquire", id="t", version=0, pid="w", ttl=60_000)
    state("task.suspend", id="t", version=1, actions=[_await("p", "t")])
    state.offers.clear()
    state.now += 1000
    state("promise.register_callback", awaited="p", awaiter="t")
    assert state.promise("t")["state"] == "rejected_timedout"
    assert state.offers == []


def test_a_resumed_task_keeps_its_version_until_it_is_claimed(state: State) -> None:
    state.create("t")
    state.create("p", target=None)
    state("task.acquire", id="t", version=0, pid="w", ttl=60_000)
    state("task.suspend", id="t", version=1, actions=[_await("p", "t")])
    state("promise.settle", id="p", state="resolved")
    assert state.task("t") == {"id": "t", "state": "pending", "version": 1, "resumes": 1}
    assert state.offers[-1] == ("t", 1)
    assert state("task.acquire", id="t", version=1, pid="w", ttl=1)[1]["task"]["version"] == 2
    assert state.task("t")["resumes"] == 0


def test_a_schedule_behind_fires_one_run_at_a_time(state: State) -> None:
    state.now = 0
    state(
        "schedule.create", id="s", cron="* * * * *", promiseId="{{.id}}.{{.timestamp}}", promiseTimeout=10**9
    )
    for expected in (60_000, 120_000, 180_000):
        state("debug.tick", time=300_000)
        record = state.promise(f"s.{expected}")
        assert record["createdAt"] == expected
        assert record["tags"]["resonate:schedule"] == "s"
        assert record["tags"]["resonate:origin"] == f"s.{expected}"
    assert state("promise.get", id="s.240000")[0] == 404


def test_search_finds_the_pending_ones_by_their_own_index(state: State) -> None:
    plan = state.tx.execute(
        "EXPLAIN QUERY PLAN SELECT id FROM promises INDEXED BY promises_due WHERE state = 'pending' ORDER BY id"
    ).fetchall()
    assert any("promises_due" in row[3] for row in plan)


def test_no_list_is_scanned_to_find_what_is_due(state: State) -> None:
    from embedded_server.state import timeouts

    for query in (timeouts._PROMISES, timeouts._TASKS):
        plan = state.tx.execute(f"EXPLAIN QUERY PLAN {query}", (0,) * query.count("?")).fetchall()
        assert all("USING INDEX" in row[3] for row in plan), plan


def _await(awaited: str, awaiter: str) -> dict[str, Any]:
    return {"kind": "promise.register_callback", "head": {}, "data": {"awaited": awaited, "awaiter": awaiter}}


def test_the_unfinished_tasks_are_found_by_their_own_indexes(state: State) -> None:
    from embedded_server.state import tasks

    state.create("t")
    for name, (source, where) in tasks._SEARCHES.items():
        plan = state.tx.execute(
            f"EXPLAIN QUERY PLAN SELECT id FROM {source} WHERE {where} ORDER BY id"  # noqa: S608
        ).fetchall()
        assert any("tasks_" in row[3] for row in plan), (name, plan)
    assert [task["id"] for task in state("task.search", state="pending")[1]["tasks"]] == ["t"]
