"""Servers outside the stack that misbehave when a test asks for it: a model's endpoint, webhook receivers, a web server.

Runs in a container beside the stack (see compose.yaml). Standard library only.

    PUT  /plan/<name>     a JSON list: what happens to the next calls of <name>; after that, `ok`
    GET  /seen/<name>     the calls that <name> has had: [{"at", "headers", "body", "met"}]
    POST /<name>/v1/chat/completions    OpenAI's API
    POST /hook/<name>     a webhook's receiver
    GET  /doc/<name>      a document, as PUT /doc/<name> left it

Port 8099 speaks http, 8443 https, 8444 https with a certificate from an unknown authority. Port 8098 is S3 with missing
permissions and overload: it answers 403 for the bucket `locked` and 503 for `busy`, and passes all else on to LocalStack.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

plans: dict[str, list[str]] = defaultdict(list)
seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
documents: dict[str, tuple[str, bytes]] = {}
lock = threading.Lock()

#: Headers that belong to the connection and not to the message.
HOP = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
ANSWER = {
    "summary": "A model read this document.",
    "parties": [{"name": "Model Party", "role": "Client"}],
    "risks": [{"risk": "Made up by a model", "severity": "low"}],
}


class World(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self._body()
        kind, _, name = self.path[1:].partition("/")
        with lock:
            if kind == "plan":
                plans[name] = json.loads(body)
            else:
                documents[name] = (self.headers.get("Content-Type", ""), body)
        self._answer(200, {})

    def do_GET(self) -> None:
        kind, _, name = self.path[1:].partition("/")
        if kind == "seen":
            with lock:
                found = list(seen[name])
            return self._answer(200, found)
        if kind == "health":
            return self._answer(200, {})
        if name not in documents:
            return self._answer(404, {"error": "no such document"})
        met = self._meet(name, b"")
        if self._misbehaved(met):
            return None
        media_type, body = documents[name]
        if met.startswith("redirect "):
            return self._answer(302, {}, {"Location": met.removeprefix("redirect ")})
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        if met == "endless":
            self.end_headers()
            return self._for_ever(body)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if met == "cut" else body)
        self.close_connection = met == "cut"
        return None

    def do_POST(self) -> None:
        body = self._body()
        if self.path.startswith("/hook/"):
            met = self._meet(self.path.removeprefix("/hook/"), body)
            if not self._misbehaved(met):
                self._answer(200, {})
            return
        name = self.path[1:].partition("/")[0]
        met = self._meet(name, body)
        if self._misbehaved(met):
            return
        reply = json.dumps(completion(json.loads(body), met)).encode()
        if met == "malformed":
            reply = b'{"choices": [{"message": {"conte'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply[: len(reply) // 2] if met == "cut" else reply)
        self.close_connection = met == "cut"

    def _for_ever(self, body: bytes) -> None:
        """Send data without a declared length until the other side closes."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(body)

    def _meet(self, name: str, body: bytes) -> str:
        with lock:
            met = plans[name].pop(0) if plans[name] else "ok"
            call = {"at": time.time(), "headers": {k.lower(): v for k, v in self.headers.items()}, "met": met}
            seen[name].append({**call, "body": body.decode(errors="replace")})
        return met

    def _misbehaved(self, met: str) -> bool:
        """Answer with the planned status, or hang up; returns whether nothing more is to be sent."""
        if slow := re.fullmatch(r"slow (\d+)", met):
            time.sleep(int(slow[1]))
            return False
        if met == "hang up":
            self.close_connection = True
            return True
        if status := re.fullmatch(r"(\d{3})( retry-after (\d+))?", met):
            headers = {"Retry-After": status[3]} if status[3] else {}
            self._answer(int(status[1]), {"error": {"message": "on order", "type": "test"}}, headers)
            return True
        return False

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Store(BaseHTTPRequestHandler):
    """S3 with a bucket that denies access and one that is overloaded."""

    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        bucket = self.path[1:].partition("/")[0].partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refusals = {"locked": (403, "AccessDenied"), "busy": (503, "SlowDown")}
        if bucket in refusals:
            status, code = refusals[bucket]
            text = f"<Error><Code>{code}</Code><Message>on order</Message></Error>".encode()
            return self._send(status, [("Content-Type", "application/xml")], text)
        line = http.client.HTTPConnection("localstack", 4566, timeout=60)
        try:
            line.request(self.command, self.path, body, dict(self.headers))
            answer = line.getresponse()
            content = answer.read()
        finally:
            line.close()
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP]
        return self._send(answer.status, kept, content, answer.getheader("Content-Length"))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815

    def _send(
        self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None
    ) -> None:
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        head = self.command == "HEAD"
        self.send_header("Content-Length", length or "0" if head else str(len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def completion(request: dict[str, Any], met: str) -> dict[str, Any]:
    """A chat completion: a call of the tool, if the request offers one; otherwise text."""
    arguments = "{}" if met == "wrong form" else json.dumps(ANSWER)
    message: dict[str, Any] = {"role": "assistant", "content": "One summary of all parts."}
    reason = "stop"
    if request.get("tools"):
        call = {"name": request["tools"][0]["function"]["name"], "arguments": arguments}
        message = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": call}]}
        reason = "tool_calls"
    return {
        "id": "x",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


if __name__ == "__main__":
    servers = [ThreadingHTTPServer(("", 8099), World), ThreadingHTTPServer(("", 8098), Store)]
    tls = [(8443, "world"), (8444, "stranger")] if Path("/tls/world.pem").exists() else []
    for port, name in tls:
        secure = ThreadingHTTPServer(("", port), World)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"/tls/{name}.pem")
        # The handshake runs in the connection's own thread, so that a client that gives up does not block others.
        secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(secure)
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()
