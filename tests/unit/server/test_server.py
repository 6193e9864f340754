"""The server as a process: its ports, its settings, its streams, its stop."""

import base64
import http.client
import http.server
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from conftest import VERSION, Running

type Launch = Callable[..., Running]
FAR = 4_000_000_000_000


def create(server: Running, id: str, target: str | None = None, **head: Any) -> tuple[int, Any]:
    tags = {"resonate:target": target} if target else {}
    return server.send("promise.create", {"id": id, "timeoutAt": FAR, "tags": tags}, **head)


class Poller:
    """A worker's event stream."""

    def __init__(self, server: Running, group: str, id: str, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self._connection.request("GET", f"/poll/{group}/{id}", headers=headers or {})
        self.answer = self._connection.getresponse()

    def events(self) -> Iterator[Any]:
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def test_paths(launch: Launch) -> None:
    server = launch()
    assert server.http("GET", "/health")[0] == 200
    assert server.http("GET", "/ready")[0] == 200
    assert server.http("GET", "/nothing")[0] == 404
    status, headers, _ = server.http("GET", "/")
    assert (status, headers["allow"]) == (405, "POST")
    for path in ("/promises", "/promises/a/b", "/tasks/x", "/schedules"):
        status, _, body = server.http("PUT", path)
        assert status == 410
        assert json.loads(body) == {
            "error": "This endpoint is no longer supported. Please update to the latest SDK."
        }


def test_a_body_of_more_than_2_mib_is_refused(launch: Launch) -> None:
    server = launch()
    data = {"id": "big", "timeoutAt": FAR, "param": {"data": "x" * (2 * 1024 * 1024 - 300)}}
    assert server.send("promise.create", data)[0] == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(
            b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3000000\r\n\r\n" + b" " * 2_200_000
        )
        assert raw.recv(12) == b"HTTP/1.1 413"


def test_pipelined_requests_are_answered_in_order(launch: Launch) -> None:
    server = launch()

    def post(id: str) -> bytes:
        head = {"corrId": id, "version": VERSION}
        body = json.dumps(
            {"kind": "promise.create", "head": head, "data": {"id": id, "timeoutAt": FAR}}
        ).encode()
        return b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        get = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
        raw.sendall(post("a") + get + post("b") + get.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        got = b"".join(iter(lambda: raw.recv(65536), b""))
    assert [got.find(b'"corrId":"a"') < got.find(b'"corrId":"b"'), got.count(b"HTTP/1.1 200 OK")] == [True, 4]
    first = got.find(b"content-length: 0\r\n")
    assert got.find(b'"corrId":"a"') < first < got.find(b'"corrId":"b"')
    assert b"connection: close" in got


def test_offers_reach_workers_by_their_address(launch: Launch) -> None:
    server = launch(RESONATE_SERVER__URL="http://me:8001")
    one, two = Poller(server, "g", "one"), Poller(server, "g", "two")
    for n in range(20):
        create(server, f"uni{n}", "poll://uni@g/two")
    assert [event["data"]["task"]["id"] for event in islice(two.events(), 20)] == [
        f"uni{n}" for n in range(20)
    ]
    create(server, "preferred", "poll://any@g/one")
    event = next(one.events())
    assert event == {
        "kind": "execute",
        "head": {"serverUrl": "http://me:8001"},
        "data": {"task": {"id": "preferred", "version": 0}},
    }
    for n in range(40):
        create(server, f"any{n}", "poll://any@g")
    got = [next(one.events()), next(two.events())]  # 1 in 2**39: one of them gets none
    assert all(event["data"]["task"]["id"].startswith("any") for event in got)
    one.close()
    two.close()


def test_a_message_quicker_than_its_worker_waits_for_it(launch: Launch) -> None:
    server = launch()
    create(server, "early", "poll://any@later")
    poller = Poller(server, "later", "w")
    assert next(poller.events())["data"]["task"]["id"] == "early"
    poller.close()


def test_a_worker_that_is_gone_is_noticed_at_once(launch: Launch) -> None:
    server = launch(RESONATE_TRANSPORTS__HTTP_POLL__MAX_CONNECTIONS="1")
    poller = Poller(server, "g", "w")
    second = Poller(server, "g", "x")
    assert (second.answer.status, second.answer.read()) == (503, b"Poll registration at capacity")
    poller.close()
    until = time.monotonic() + 1
    while (again := Poller(server, "g", "x")).answer.status != 200:
        assert time.monotonic() < until
    again.close()


def test_a_lease_that_ends_is_offered_again(launch: Launch) -> None:
    server = launch(RESONATE_TASKS__RETRY_TIMEOUT="200")
    poller = Poller(server, "g", "w")
    create(server, "t", "poll://any@g")
    events = poller.events()
    assert next(events)["data"]["task"] == {"id": "t", "version": 0}
    assert next(events)["data"]["task"] == {"id": "t", "version": 0}  # nobody took it
    started = time.monotonic()
    server.send("task.acquire", {"id": "t", "version": 0, "pid": "w", "ttl": 300})
    assert next(events)["data"]["task"] == {"id": "t", "version": 1}
    assert 0.3 <= time.monotonic() - started < 1.5
    poller.close()


def test_a_listener_is_told_after_a_restart(launch: Launch, tmp_path: Path) -> None:
    server = launch()
    create(server, "p")
    server.send("promise.register_listener", {"awaited": "p", "address": "poll://uni@g/w"})
    server.kill()
    # GIVEN the message was committed but had not left when the server died
    with closing(sqlite3.connect(tmp_path / "resonate.db")) as db, db:
        db.execute("INSERT INTO unblocks VALUES ('p', 'poll://uni@g/w')")
    server.start()
    poller = Poller(server, "g", "w")
    event = next(poller.events())
    assert (event["kind"], event["head"], event["data"]["promise"]["id"]) == ("unblock", {}, "p")
    poller.close()


def test_http_push(launch: Launch) -> None:
    got: list[tuple[str | None, Any]] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.headers["authorization"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    server = launch(
        PUSH_TO=f"http://127.0.0.1:{hook.server_port}",
        RESONATE_TRANSPORTS__HTTP_PUSH__AUTH__MODE="bearer",
        RESONATE_TRANSPORTS__HTTP_PUSH__AUTH__TOKEN="insecuretoken",
    )
    create(server, "t", f"http://127.0.0.1:{hook.server_port}/x")
    until = time.monotonic() + 5
    while not got and time.monotonic() < until:
        time.sleep(0.01)
    hook.shutdown()
    assert got == [
        (
            "Bearer insecuretoken",
            {"data": {"task": {"id": "t", "version": 0}}, "head": {"serverUrl": ""}, "kind": "execute"},
        )
    ]


def test_tokens(launch: Launch, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    server = launch(RESONATE_AUTH__PUBLICKEY=str(pem), RESONATE_AUTH__ISS="me")

    def token(**claims: Any) -> str:
        return jwt.encode({"exp": time.time() + 100, "iss": "me", **claims}, key, "EdDSA")

    def status(auth: str | None, id: str = "team/a") -> int:
        return create(server, id, auth=auth)[0]

    assert status(None) == 401
    assert status("") == 401
    assert status(token(exp=time.time() - 100)) == 401
    assert status(token(iss="you", role="admin")) == 401
    assert status(token(role="admin", aud="x")) == 401  # v0.9.8 takes a list only
    assert status(jwt.encode({"exp": time.time() + 100, "iss": "me"}, "x" * 32, "HS256")) == 401
    assert status(token()) == 403
    assert status(token(prefix=None)) == 403
    assert status(token(prefix=5)) == 403
    assert status(token(prefix="team/")) == 200
    assert status(token(prefix="other/")) == 403
    assert status(token(prefix="")) == 200
    assert status(token(role="ADMIN", prefix="other/")) == 200
    assert server.send("promise.search", {}, auth=token(prefix="team/"))[0] == 403
    assert server.send("nothing", {}, auth=token(prefix="team/"))[0] == 403
    beat = {"pid": "p", "tasks": [{"id": "team/a", "version": 1}, {"id": "x", "version": 1}]}
    assert server.send("task.heartbeat", beat, auth=token(prefix="team/"))[0] == 403
    assert (
        server.send("task.heartbeat", {**beat, "tasks": beat["tasks"][:1]}, auth=token(prefix="team/"))[0]
        == 200
    )
    refused = Poller(server, "g", "w")
    assert (refused.answer.status, refused.answer.read()) == (401, b"Unauthorized")
    allowed = Poller(server, "g", "w", {"authorization": f"Bearer {token()}"})
    assert allowed.answer.status == 200
    allowed.close()


def test_rsa_keys_and_their_algorithms(launch: Launch, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    server = launch(RESONATE_AUTH__PUBLICKEY=str(pem))
    for algorithm in ("RS256", "PS512"):
        token = jwt.encode({"exp": time.time() + 100, "role": "admin"}, key, algorithm)
        assert create(server, "a", auth=token)[0] == 200


def test_unsigned_tokens(launch: Launch) -> None:
    server = launch(RESONATE_AUTH__PUBLICKEY="none")
    part = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    claims = json.dumps({"exp": time.time() + 100, "role": "admin"}).encode()
    token = f"{part}.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.x"
    assert create(server, "a", auth=token)[0] == 200


def test_cors(launch: Launch) -> None:
    server = launch(RESONATE_SERVER__CORS__ALLOW_ORIGINS='["http://a"]')
    _, headers, _ = server.http("GET", "/health", headers={"origin": "http://a"})
    assert headers["access-control-allow-origin"] == "http://a"
    _, headers, _ = server.http("GET", "/health", headers={"origin": "http://b"})
    assert "access-control-allow-origin" not in headers
    status, headers, _ = server.http(
        "OPTIONS", "/", headers={"origin": "http://a", "access-control-request-method": "POST"}
    )
    assert status == 200
    assert headers["access-control-allow-headers"] == "origin,content-length,content-type,authorization"


def test_debug_operations_need_debug_mode(launch: Launch) -> None:
    server = launch()
    assert server.send("debug.snap", {}) == (403, "Debug operations are disabled")
    # AND a debug time is ignored
    status, data = create(server, "p", **{"resonate:debug_time": 5})
    assert status == 200
    assert data["promise"]["createdAt"] > 10**12


def test_a_graceful_stop(launch: Launch, tmp_path: Path) -> None:
    server = launch()
    create(server, "p")
    poller = Poller(server, "g", "w")
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 2
    assert poller.answer.read() == b""
    # AND everything is in the one file
    assert [path.name for path in tmp_path.iterdir()] == ["resonate.db"]
    server.start()
    assert server.send("promise.get", {"id": "p"})[0] == 200


def test_a_file_is_served_by_one_server(launch: Launch) -> None:
    launch()
    second = launch(wait=False)
    assert second.wait() == 1
    assert "another server has it open" in second.output()


def test_a_foreign_file_is_left_alone(launch: Launch, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "resonate.db")) as db, db:
        db.execute("CREATE TABLE promises (id TEXT PRIMARY KEY)")
    server = launch(wait=False)
    assert server.wait() == 1
    assert "was not written by the embedded server" in server.output()


def test_streams_that_take_nothing_hold_up_no_work(launch: Launch) -> None:
    server = launch()
    foreign = [Poller(server, "g", "x") for _ in range(6)]
    worker = Poller(server, "g", "w")
    events = worker.events()
    began = time.monotonic()
    for n in range(20):
        create(server, f"t{n}", "poll://any@g")
        task = next(events)["data"]["task"]
        assert server.send("task.acquire", {**task, "pid": "w", "ttl": 60_000})[0] == 200
        settle = {"kind": "promise.settle", "head": {}, "data": {"id": task["id"], "state": "resolved"}}
        assert server.send("task.fulfill", {"id": task["id"], "version": 1, "action": settle})[0] == 200
    # At worst the first one passes through all six, at a third of a second each; their retry would take 30 s.
    assert time.monotonic() - began < 10
    for poller in (*foreign, worker):
        poller.close()
