"""The connection to the server: its address and token, its time limits, and the errors for a server that fails."""

import http.server
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Server

from durable_lambda.function.promises import (
    Promises,
    ServerAwayError,
    ServerFailsError,
    address,
    args_of,
    connect,
    server_token,
    server_url,
)


@pytest.fixture
def promises(server: Server) -> Iterator[Promises]:
    made = Promises(server.url)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://localhost:8001"),
        ({"RESONATE_URL": "http://server:9000", "RESONATE_HOST": "other"}, "http://server:9000"),
        ({"RESONATE_HOST": "http://server"}, "http://server:8001"),
        ({"RESONATE_HOST": "server", "RESONATE_STORE_PORT": "9001"}, "http://server:9001"),
        ({"RESONATE_URL": "", "RESONATE_HOST": "https://server/"}, "https://server:8001/"),
    ],
)
def test_the_server_s_address(environ: dict[str, str], url: str) -> None:
    assert server_url(environ) == url


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("http://server:9000", "8001", "http://server:9000"),
        ("[::1]", 9000, "http://[::1]:9000"),
        ("https://server/resonate", None, "https://server:8001/resonate"),
        ("server:", None, "http://server:8001"),
    ],
)
def test_a_port_in_the_address_counts_more(host: str, port: str | int | None, url: str) -> None:
    assert address(host, port) == url


@pytest.mark.parametrize("host", ["http://", "http://server:port", "http://server:70000"])
def test_an_address_that_is_none_is_told(host: str) -> None:
    with pytest.raises(ValueError, match="The server's address"):
        address(host)


def test_the_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    assert server_token({}) is None
    assert server_token({"RESONATE_TOKEN_FILE": str(file)}) == "from-the-file"
    assert server_token({"RESONATE_TOKEN_FILE": str(file), "RESONATE_TOKEN": "itself"}) == "itself"
    with pytest.raises(OSError, match=r"RESONATE_TOKEN_FILE is .*/none, which cannot be read: No such file"):
        server_token({"RESONATE_TOKEN_FILE": str(tmp_path / "none")})
    file.write_text("")
    assert server_token({"RESONATE_TOKEN_FILE": str(file)}) is None


def test_a_promise_is_created_once_and_read(promises: Promises) -> None:
    before = time.time()
    first = promises.call(lambda: promises.start("letter/a", "send", [{"a": 1}], tags={"kind": "job"}), 30)
    again = promises.call(lambda: promises.start("letter/a", "other", []), 30)
    assert args_of(first) == args_of(again) == [{"a": 1}]
    assert first.tags["resonate:target"] == "poll://any@worker"
    assert first.tags["kind"] == "job"
    assert first.param.data == {"func": "send", "args": [{"a": 1}], "kwargs": {}, "version": 1}
    # Ten years.
    assert 3649 < (first.timeout_at / 1000 - before) / 86400 < 3651
    assert promises.call(lambda: promises.get("letter/none"), 30) is None


def test_settled_once(promises: Promises) -> None:
    promises.call(lambda: promises.start("letter/a", "send", []), 30)
    promises.call(lambda: promises.start("letter/b", "send", []), 30)
    assert promises.call(lambda: promises.resolve("letter/a", {"x": 1}), 30).value.data == {"x": 1}
    assert promises.call(lambda: promises.cancel("letter/a", None), 30).state == "resolved"
    assert (
        promises.call(lambda: promises.cancel("letter/b", {"why": "asked"}), 30).state == "rejected_canceled"
    )


def test_methods_outside_of_a_call_are_told_so(promises: Promises) -> None:
    import asyncio

    with pytest.raises(RuntimeError, match=r"inside of Promises\.call"):
        asyncio.run(promises.get("letter/a"))


def test_a_server_that_answers_nothing_is_away_in_time(server: Server, promises: Promises) -> None:
    promises.call(lambda: promises.get("letter/a"), 30)
    server.signal(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(ServerAwayError, match=r"within 0\.7 s"):
        promises.call(lambda: promises.get("letter/a"), 1.2)
    assert time.monotonic() - started < 1.2
    server.signal(signal.SIGCONT)
    assert promises.call(lambda: promises.get("letter/a"), 30) is None


def test_nobody_there_is_away_within_three_seconds() -> None:
    nobody = Promises("http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ServerAwayError, match=r"within 3\.0 s"):
        nobody.call(lambda: nobody.get("letter/a"), 30)
    assert time.monotonic() - started < 3.5
    nobody.close()


def test_a_connection_that_died_is_opened_again_at_once(server: Server, promises: Promises) -> None:
    """As after a freeze: the server has closed the connection, and the process has not noticed."""
    promises.call(lambda: promises.get("letter/a"), 30)
    server.stop()
    server.start()
    started = time.monotonic()
    assert promises.call(lambda: promises.get("letter/a"), 30) is None
    assert time.monotonic() - started < 1


type Failing = Callable[[int], http.server.ThreadingHTTPServer]
SECRET = "Could not decode to UTF-8 column 'value' with text 'a stored checkpoint'"


@pytest.fixture
def failing() -> Iterator[Failing]:
    """Makes a server that answers every request with the same status and records the headers of the requests."""
    made: list[http.server.ThreadingHTTPServer] = []

    def start(code: int) -> http.server.ThreadingHTTPServer:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.server.seen = dict(self.headers)  # type: ignore[attr-defined]
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                head = {
                    "corrId": asked["head"]["corrId"],
                    "status": code,
                    "version": asked["head"]["version"],
                }
                body = json.dumps({"kind": asked["kind"], "head": head, "data": SECRET}).encode()
                self.send_response(code)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append(server)
        return server

    yield start
    for server in made:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("code", "words"), [(500, "cannot do this"), (401, "token"), (403, "token")])
def test_a_server_that_fails_is_not_quoted(failing: Failing, code: int, words: str) -> None:
    """The server's message may contain stored data."""
    promises = Promises(f"http://127.0.0.1:{failing(code).server_address[1]}")
    with pytest.raises(ServerFailsError, match=words) as caught:
        promises.call(lambda: promises.get("letter/a"), 30)
    assert "checkpoint" not in str(caught.value)
    promises.close()


def test_the_token_is_sent(failing: Failing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = failing(500)
    (tmp_path / "token").write_text("a-token")
    monkeypatch.setenv("RESONATE_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.delenv("RESONATE_TOKEN", raising=False)
    monkeypatch.setenv("RESONATE_TOKEN_FILE", str(tmp_path / "token"))
    promises = connect()
    with pytest.raises(ServerFailsError):
        promises.call(lambda: promises.get("letter/a"), 30)
    assert server.seen["Authorization"] == "Bearer a-token"  # type: ignore[attr-defined]
    promises.close()
