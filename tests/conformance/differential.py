#!/usr/bin/env python3
"""Sends the same random requests to two servers and compares their complete answers, byte for byte.

If a request is refused with 400, only status, kind and correlation id are compared, because the servers word their
messages differently.

Usage: differential.py URL_A URL_B [--requests 100000] [--seeds 100] [--first-seed 1]

Both servers must have the same settings, be in debug mode (RESONATE_DEBUG=true), and not be in use: everything on them
is deleted. The requests set the time (`resonate:debug_time`), so a seed always gives the same requests. The complete
state (`debug.snap`) is compared again and again. A difference is reduced to the shortest sequence that still shows it,
and printed.

Standard library only.
"""

import argparse
import copy
import http.client
import itertools
import json
import random
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

VERSION = "2026-04-01"
START = 1_000_000_000_000  # ms since 1970: the debug time at which a seed begins
PID = "pid-1"

Data = dict[str, Any]
Raw = bytes


class Server:
    """A connection to a server, which is kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self._address = (parts.hostname or "localhost", parts.port or 80)
        self._connection = http.client.HTTPConnection(*self._address, timeout=30)

    def send(self, body: Raw) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._connection.request("POST", "/", body)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def request(kind: str, data: Any, now: int | None = None, corr: str = "c") -> Raw:
    head: Data = {"corrId": corr, "version": VERSION}
    if now is not None:
        head["resonate:debug_time"] = now
    return json.dumps({"kind": kind, "head": head, "data": data}, ensure_ascii=False).encode()


class Generator:
    """Random requests that build on the earlier answers, so that most of them are meaningful."""

    TARGETS = ("poll://any@workers", "poll://uni@workers/w1", "http://worker.invalid/hook", "poll://any@g/x")
    BAD_TARGETS = (
        "", "poll://", "poll://workers", "poll://all@g", "ftp://x/y", "gcps://p", "http://", "any", "poll://any@",
        "gcps:///t", "http://a b/", "poll://any@g h", "bash:", "gcps://p/",
    )  # fmt: skip
    ODD_TARGETS = (
        "bash://", "gcps://p/t", "https://x", "poll://any:pw@G%20h/i/j", "poll://any@g:80/x", "HTTP://X/", "poll://any@g?x#y",
        " http://x ", "poll://any@ü", "http:x", "poll:any@g", "bash://docker/alpine", "poll://ANY@g",
        "poll://any@g/../x",
    )  # fmt: skip
    CRONS = (
        "* * * * *", "*/5 * * * *", "0 0 1 * *", "30 4 * * mon-fri", "0 12 1,15 * ?", "15 10 * * 2", "@hourly", "@weekly",
        "0 */10 3-5 * * * *", "0 0 29 2 *", "5/20 * * * *", "0 0 0 1 1 ? 2050", "* * * jan-mar sun,Wednesday",
        "0 0 31 2 *", "1 2 3 4 5", "59 59 23 31 12 * 2099",
    )  # fmt: skip
    BAD_CRONS = (
        "", " ", "x", "* * * *", "60 * * * *", "* * * * 0", "* * * * 8", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "@never",
        "mon/2 * * * *", "* * * * mon/2", "1,,2 * * * *", "* * * foo *", "? * * * *", "* * * * * * * *", "1- * * * *",
        "@hourly @daily", "-1 * * * *", "* * * 13 *", "1.5 * * * *", "99999999999 * * * *",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = START
        size = self.rng.choice((2, 4, 8))
        self.promises = [f"p{n}" for n in range(size)]
        self.tasks = [f"t{n}" for n in range(size)]
        self.schedules = [f"s{n}" for n in range(3)]
        #: task id -> its latest known version
        self.versions: dict[str, int] = {}
        self.acquired: set[str] = set()

    def step(self) -> Raw:
        """The next request."""
        rng = self.rng
        self.now += rng.choice((0, 0, 0, 1, 10, 1000, 30_000, rng.randrange(100_000)))
        kind = rng.choices(KINDS, WEIGHTS)[0]
        data = getattr(self, kind.replace(".", "_"))()
        roll = rng.random()
        if roll < 0.06:
            data = self.spoil(data)
        now = self.now if roll < 0.98 else self.now + rng.choice((-50_000, 10_000_000))
        body = request(kind, data, now, str(rng.randrange(1000)))
        if roll > 0.985:
            mangled = self.mangle(body)
            # Without this, each server would use its own time.
            body = mangled if b'"resonate:debug_time":' in mangled.replace(b" ", b"") else mangled[:-1]
        return body

    def learn(self, body: Raw, answer: bytes) -> None:
        """Remembers which tasks are held."""
        try:
            sent, got = json.loads(body), json.loads(answer)
            data = got["data"]
            if got["head"]["status"] == 200 and isinstance(data, dict) and "task" in data:
                task = data["task"]
                self.versions[task["id"]] = task["version"]
                (self.acquired.add if task["state"] == "acquired" else self.acquired.discard)(task["id"])
            elif got["head"]["status"] in (200, 409) and sent["kind"] in (
                "task.release", "task.fulfill", "task.suspend", "task.halt",
            ):  # fmt: skip
                self.acquired.discard(sent["data"]["id"])
        except (ValueError, KeyError, TypeError):
            pass

    # Parts.

    def any_id(self) -> str:
        return self.rng.choice((*self.promises, *self.tasks))

    def held(self) -> tuple[str, int]:
        """A task, a held one if possible, and its version, usually the right one."""
        rng = self.rng
        pool = sorted(self.acquired) if self.acquired and rng.random() < 0.85 else self.tasks
        id = rng.choice(pool)
        version = self.versions.get(id, 1)
        return id, version if rng.random() < 0.92 else max(0, version + rng.choice((-1, 1)))

    def timeout(self) -> int:
        rng = self.rng
        return rng.choice(
            (
                self.now + rng.randrange(300_000),
                self.now + rng.randrange(300_000),
                self.now + 10**9,
                self.now - 1,
                self.now,
                0,
                2**63 - 1,
            )
        )

    def value(self) -> Data:
        rng = self.rng
        return rng.choice(
            (
                {},
                {"data": "eyJhIjoxfQ=="},
                {"data": "", "headers": {}},
                {"headers": {"b": "2", "a": 'ü"\\\n'}, "data": "x" * rng.randrange(40)},
                {"data": None, "headers": None},
                {"data": "\u0000\u001f\u007f\u2028😀", "other": [1, {"x": None}]},
            )
        )

    def tags(self, target: bool) -> Data:
        rng = self.rng
        tags: Data = {}
        if target:
            pool = self.TARGETS
            roll = rng.random()
            if roll < 0.06:
                pool = self.BAD_TARGETS if roll < 0.04 else self.ODD_TARGETS
            tags["resonate:target"] = rng.choice(pool)
        if rng.random() < 0.3:
            tags["resonate:timer"] = rng.choice(("true", "true", "false", "TRUE"))
        if rng.random() < 0.6:
            tags["resonate:branch"] = rng.choice(("b1", "b2", "t0", "ü"))
        if rng.random() < 0.3:
            tags["resonate:origin"] = rng.choice(("o1", "o2"))
        if rng.random() < 0.2:
            tags["é"] = rng.choice(("1", '"'))
        return tags

    def create(self, id: str, target: bool) -> Data:
        data: Data = {"id": id, "timeoutAt": self.timeout()}
        if self.rng.random() < 0.8:
            data["param"] = self.value()
        if target or self.rng.random() < 0.8:
            data["tags"] = self.tags(target)
        return data

    def action(self, kind: str, data: Data) -> Data:
        return {"kind": kind, "head": self.rng.choice(({}, {}, None, {"corrId": "x"})), "data": data}

    def settlement(self, id: str) -> Data:
        data: Data = {"id": id, "state": self.rng.choice(("resolved", "rejected", "rejected_canceled"))}
        if self.rng.random() < 0.8:
            data["value"] = self.value()
        return data

    def page(self, ids: list[str]) -> Data:
        rng = self.rng
        data: Data = {}
        if rng.random() < 0.7:
            data["limit"] = rng.choice((1, 2, 3, 10, 1000, 1001, None))
        if rng.random() < 0.4:
            data["cursor"] = rng.choice((*ids, "", "zz", None))
        return data

    # Requests.

    def promise_get(self) -> Data:
        return {"id": self.any_id()}

    def promise_create(self) -> Data:
        task = self.rng.random() < 0.4
        return self.create(self.rng.choice(self.tasks if task else self.promises), task)

    def promise_settle(self) -> Data:
        return self.settlement(self.any_id())

    def promise_register_callback(self) -> Data:
        return {"awaited": self.any_id(), "awaiter": self.rng.choice((*self.tasks, self.any_id()))}

    def promise_register_listener(self) -> Data:
        address = self.rng.choice(
            (*self.TARGETS, *self.TARGETS, self.rng.choice(self.BAD_TARGETS + self.ODD_TARGETS))
        )
        return {"awaited": self.any_id(), "address": address}

    def promise_search(self) -> Data:
        rng = self.rng
        data = self.page([*self.promises, *self.tasks])
        if rng.random() < 0.5:
            data["state"] = rng.choice(
                ("pending", "resolved", "rejected", "rejected_canceled", "rejected_timedout", None)
            )
        if rng.random() < 0.4:
            data["tags"] = rng.choice(
                (
                    {},
                    {"resonate:branch": "b1"},
                    {"resonate:origin": "o1", "resonate:branch": "b2"},
                    {"é": '"'},
                    None,
                )
            )
        return data

    def task_get(self) -> Data:
        return {"id": self.rng.choice((*self.tasks, *self.tasks, *self.promises))}

    def task_create(self) -> Data:
        rng = self.rng
        id = rng.choice((*self.tasks, *self.tasks, *self.tasks, *self.promises))
        create = self.action("promise.create", self.create(id, rng.random() < 0.97))
        return {
            "pid": rng.choice((PID, PID, "pid-2")),
            "ttl": rng.choice((1, 1000, 60_000, 60_000)),
            "action": create,
        }

    def task_acquire(self) -> Data:
        rng = self.rng
        id = rng.choice(self.tasks)
        version = self.versions.get(id, 0) if rng.random() < 0.8 else rng.randrange(4)
        return {"id": id, "version": version, "pid": PID, "ttl": rng.choice((1, 5000, 60_000))}

    def task_release(self) -> Data:
        id, version = self.held()
        return {"id": id, "version": version}

    def task_fulfill(self) -> Data:
        id, version = self.held()
        other = id if self.rng.random() < 0.97 else self.any_id()
        return {"id": id, "version": version, "action": self.action("promise.settle", self.settlement(other))}

    def task_suspend(self) -> Data:
        rng = self.rng
        id, version = self.held()
        awaited = [
            rng.choice((*self.promises, self.any_id(), "none")) for _ in range(rng.choice((1, 1, 1, 2, 3, 0)))
        ]
        awaiter = id if rng.random() < 0.97 else self.any_id()
        actions = [
            self.action("promise.register_callback", {"awaited": a, "awaiter": awaiter}) for a in awaited
        ]
        return {"id": id, "version": version, "actions": actions}

    def task_fence(self) -> Data:
        rng = self.rng
        id, version = self.held()
        other = self.any_id()
        if rng.random() < 0.5:
            inner = self.action("promise.create", self.create(other, other in self.tasks))
        else:
            inner = self.action("promise.settle", self.settlement(other))
        if rng.random() < 0.04:
            inner["kind"] = rng.choice(("promise.get", "", "task.create"))
        if rng.random() < 0.03:
            inner["data"] = rng.choice(
                (None, 1, [], ["p0", "resolved"], {"id": 5}, "x", self.spoil(inner["data"]))
            )
        return {"id": id, "version": version, "action": inner}

    def task_heartbeat(self) -> Data:
        rng = self.rng
        held = [self.held() for _ in range(rng.randrange(4))]
        return {
            "pid": rng.choice((PID, PID, PID, "pid-2", "wrong")),
            "tasks": [{"id": id, "version": version} for id, version in held],
        }

    def task_halt(self) -> Data:
        return {"id": self.rng.choice((*self.tasks, self.any_id()))}

    task_continue = task_halt

    def task_search(self) -> Data:
        rng = self.rng
        data = self.page(self.tasks)
        if rng.random() < 0.6:
            data["state"] = rng.choice(("pending", "acquired", "suspended", "halted", "fulfilled", None))
        return data

    def schedule_get(self) -> Data:
        return {"id": self.rng.choice(self.schedules)}

    schedule_delete = schedule_get

    def schedule_create(self) -> Data:
        rng = self.rng
        data: Data = {
            "id": rng.choice(self.schedules),
            "cron": rng.choice(self.CRONS if rng.random() < 0.8 else self.BAD_CRONS),
            "promiseId": rng.choice(("{{.id}}-{{.timestamp}}", "fixed", "ü{{.timestamp}}{{.id}}", "p0")),
            "promiseTimeout": rng.choice((0, 1, 60_000, 10**9)),
        }
        if rng.random() < 0.8:
            data["promiseParam"] = self.value()
        if rng.random() < 0.8:
            data["promiseTags"] = self.tags(rng.random() < 0.5)
        return data

    def schedule_search(self) -> Data:
        data = self.page(self.schedules)
        if self.rng.random() < 0.3:
            data["tags"] = self.rng.choice(({}, {"resonate:branch": "b1"}, None))
        return data

    def debug_tick(self) -> Data:
        self.now += self.rng.choice((0, 1000, 40_000, 200_000))
        return {
            "time": self.now if self.rng.random() < 0.97 else self.rng.choice((None, 1.5, "x", 2**63, True))
        }

    def debug_snap(self) -> Data:
        return {}

    # Mistakes.

    ODD = (
        None, True, False, 0, -1, 1.5, 1.0, 1e25, 2**63, 2**64, -(2**63) - 1, "", "x", "\0", 'q"\\\n\u200b', [], ["p0"], {},
        {"a": 1}, {"resolved": None}, {"resolved": 1}, {"a": 1, "b": 2}, ["p0", 5], "pending", [[]], "p" * 70,
    )  # fmt: skip

    def spoil(self, data: Any) -> Any:
        """Damages the request: one or two values are wrong, missing or added, anywhere in it."""
        data = copy.deepcopy(data)
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            at = data
            while True:
                keys = (
                    list(at) if isinstance(at, dict) else list(range(len(at))) if isinstance(at, list) else []
                )
                if not keys:
                    break
                key = self.rng.choice(keys)
                if isinstance(at[key], dict | list) and at[key] and self.rng.random() < 0.7:
                    at = at[key]
                    continue
                roll = self.rng.random()
                if roll < 0.35:
                    del at[key]
                elif roll < 0.9:
                    at[key] = copy.deepcopy(self.rng.choice(self.ODD))
                elif isinstance(at, dict):
                    at["extra"] = copy.deepcopy(self.rng.choice(self.ODD))
                break
        if isinstance(data, dict) and self.rng.random() < 0.02:
            return list(data.values())
        return copy.deepcopy(data)

    def mangle(self, body: Raw) -> Raw:
        """Damages the bytes of the request."""
        rng = self.rng
        at = rng.randrange(len(body))
        cut = body[: at + 1]
        return rng.choice(
            (
                cut,
                body[:at] + bytes([rng.choice(b' \n\t"{}[]:,0-.eEtfn\\u\x01\xff')]) + body[at + 1 :],
                body[:at]
                + rng.choice((b"\\ud800", b"\\u00e9", b"\\q", b",", b"\n\n", b"1e999", b"\xff"))
                + body[at:],
                body[:at] + body[at + 1 :],
                body + rng.choice((b"x", b" ", b"}")),
                body.replace(b'"kind"', rng.choice((b'"Kind"', b'"kinds":["x"],"kind"', b"kind")), 1),
                body.replace(b'"head"', rng.choice((b'"heads"', b'"head":5, "x"', b'"head":[]  ,"x"')), 1),
                body.replace(VERSION.encode(), rng.choice((b"1", b"", b'2026"x')), 1),
                body.replace(b'"corrId": "', b'"corrId": "\\u00fc\\ud83d\\ude00', 1),
                rng.choice(
                    (b"", b"null", b"[]", b"5", b'"x"', b"{}", b"nul", b"[1,2,3]", b'["a",["c","v"],{}]')
                ),
                rng.choice((b"[" * 200, b'{"a":' * 130 + b"1" + b"}" * 130)),
                self.envelope_odd(body),
            )
        )

    def envelope_odd(self, body: Raw) -> Raw:
        rng = self.rng
        sent = json.loads(body)
        where = rng.choice((sent, sent["head"]))
        where[rng.choice(list(where))] = copy.deepcopy(rng.choice(self.ODD))
        if isinstance(sent["head"], dict) and sent["head"].get("resonate:debug_time") is None:
            sent["head"]["resonate:debug_time"] = self.now
        if rng.random() < 0.3 and isinstance(sent["head"], dict):
            sent["head"]["auth"] = copy.deepcopy(rng.choice(self.ODD))
        return json.dumps(
            list(sent.values()) if rng.random() < 0.2 else sent, indent=rng.choice((None, 1))
        ).encode()


WEIGHTED = {
    "promise.get": 5, "promise.create": 14, "promise.settle": 7, "promise.register_callback": 6,
    "promise.register_listener": 4, "promise.search": 4, "task.get": 3, "task.create": 9, "task.acquire": 7,
    "task.release": 3, "task.fulfill": 4, "task.suspend": 8, "task.fence": 8, "task.heartbeat": 4, "task.halt": 2,
    "task.continue": 3, "task.search": 3, "schedule.get": 1, "schedule.create": 3, "schedule.delete": 1,
    "schedule.search": 2, "debug.tick": 7, "debug.snap": 6,
}  # fmt: skip
KINDS, WEIGHTS = list(WEIGHTED), list(WEIGHTED.values())


def same(a: tuple[int, bytes], b: tuple[int, bytes]) -> bool:
    """Whether the answers are equal; for a refusal with 400 only status, kind and correlation id count."""
    if a == b:
        return True
    if a[0] != 400 or b[0] != 400:
        return False
    try:
        one, two = json.loads(a[1]), json.loads(b[1])
        words = [answer.pop("data") for answer in (one, two)]
    except (ValueError, AttributeError, KeyError):
        return False
    return bool(one == two) and all(isinstance(said, str) and said for said in words)


def begin(servers: list[Server]) -> None:
    for kind in ("debug.start", "debug.reset"):
        for server in servers:
            status, body = server.send(request(kind, {}))
            if status != 200:
                sys.exit(
                    f"{server.url}: {kind} was answered {status} {body!r}: is it in debug mode (RESONATE_DEBUG=true)?"
                )


def replay(servers: list[Server], steps: list[Raw]) -> tuple[int, list[tuple[int, bytes]]] | None:
    """The first difference: its position and both answers."""
    begin(servers)
    snap = request("debug.snap", {}, START)
    for n, body in enumerate([*steps, snap]):
        answers = [server.send(body) for server in servers]
        if not same(*answers):
            return n, answers
    return None


def shrink(servers: list[Server], steps: list[Raw], seconds: float = 60) -> list[Raw]:
    """The smallest part of the steps that still shows the difference."""
    until = time.monotonic() + seconds
    size = len(steps) // 2
    while size and time.monotonic() < until:
        for at in range(len(steps) - size, -1, -size):
            fewer = steps[:at] + steps[at + size :]
            found = replay(servers, fewer)
            if found is not None:
                steps = fewer[: found[0] + 1]
            if time.monotonic() > until:
                break
        size //= 2
    return steps


def run(servers: list[Server], seed: int, length: int, seen: Counter[str]) -> bool:
    """Run one seed; returns whether the servers always agreed."""
    begin(servers)
    generator = Generator(seed)
    steps: list[Raw] = []
    for _ in range(length):
        body = generator.step()
        steps.append(body)
        answers = [server.send(body) for server in servers]
        if not same(*answers):
            break
        generator.learn(body, answers[0][1])
        try:
            seen[f"{json.loads(answers[0][1])['kind']} {answers[0][0]}"] += 1
        except (ValueError, KeyError):
            seen[f"? {answers[0][0]}"] += 1
    else:
        if replay_snap(servers):
            return True
    print(f"\nseed {seed}: different at request {len(steps)}; the shortest sequence that still differs:")
    fewest = shrink(servers, steps)
    found = replay(servers, fewest)
    for body in fewest:
        print("  ", body.decode(errors="backslashreplace"))
    if found is not None:
        for server, (status, answer) in zip(servers, found[1], strict=True):
            print(f"{server.url}: {status} {answer.decode(errors='backslashreplace')}")
    return False


def replay_snap(servers: list[Server]) -> bool:
    snap = request("debug.snap", {})
    return same(*(server.send(snap) for server in servers))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("urls", nargs=2, metavar="URL")
    parser.add_argument("--requests", type=int, default=100_000, help="in all (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=100, help="how many sequences (default %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first difference")
    options = parser.parse_args()
    servers = [Server(url) for url in options.urls]
    length = -(-options.requests // options.seeds)
    seen: Counter[str] = Counter()
    bad = []
    started = time.monotonic()
    for seed in itertools.islice(itertools.count(options.first_seed), options.seeds):
        if not run(servers, seed, length, seen):
            bad.append(seed)
            if not options.keep_going:
                break
    total = sum(seen.values())
    print(f"\n{total:,} requests, seeds {options.first_seed}-{seed}, {time.monotonic() - started:.0f} s")
    for name, count in sorted(seen.items()):
        print(f"  {name:36} {count:7,}")
    print(f"different: seeds {bad}" if bad else "no difference")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
