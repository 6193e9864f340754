"""The world outside the stack, misbehaving on order: a model's endpoint, webhook receivers, a web server.

Runs in a container of the worker's image, beside the stack (see compose.yaml). Plain standard library.

    PUT  /plan/<name>     a JSON list: what the next calls of <name> meet, then `ok` for ever
    GET  /seen/<name>     the calls that <name> has had: [{"at", "headers", "body", "met"}]
    POST /<name>/v1/chat/completions    OpenAI's API
    POST /hook/<name>     a webhook's receiver
    GET  /doc/<name>      a document, as PUT /doc/<name> left it
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

plans: dict[str, list[str]] = defaultdict(list)
seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
documents: dict[str, tuple[str, bytes]] = {}
lock = threading.Lock()

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

    def _meet(self, name: str, body: bytes) -> str:
        with lock:
            met = plans[name].pop(0) if plans[name] else "ok"
            call = {"at": time.time(), "headers": {k.lower(): v for k, v in self.headers.items()}, "met": met}
            seen[name].append({**call, "body": body.decode(errors="replace")})
        return met

    def _misbehaved(self, met: str) -> bool:
        """Answer with a status on order, or hang up; returns whether that was all."""
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


def completion(request: dict[str, Any], met: str) -> dict[str, Any]:
    """A chat completion: a call of the tool that is offered, else text."""
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
    ThreadingHTTPServer(("", 8099), World).serve_forever()
