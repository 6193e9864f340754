"""`POST /`: from the bytes of a request to the bytes of its answer. Source: v0.9.8 `server.rs`,
`handle_api`."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

from . import PROTOCOL
from .auth import Auth
from .decoding import BadEnvelope, decode, read_envelope
from .delivery import Delivery
from .metrics import Metrics
from .protocol import REQUESTS, Refusal, envelope, text
from .state import debug, promises, schedules, tasks
from .state.promises import Answer
from .state.transaction import Transaction
from .store import DAMAGED, Call, Operation, Store
from .timers import Timers

log = logging.getLogger(__name__)

#: The operations of the protocol by name, without those of debug mode.
OPERATIONS: dict[str, Operation] = {
    "promise.get": promises.get,
    "promise.create": promises.create,
    "promise.settle": promises.settle_,
    "promise.register_callback": promises.register_callback,
    "promise.register_listener": promises.register_listener,
    "promise.search": promises.search,
    "task.get": tasks.get,
    "task.create": tasks.create,
    "task.acquire": tasks.acquire,
    "task.release": tasks.release,
    "task.fulfill": tasks.fulfill,
    "task.suspend": tasks.suspend,
    "task.fence": tasks.fence,
    "task.heartbeat": tasks.heartbeat,
    "task.halt": tasks.halt,
    "task.continue": tasks.continue_,
    "task.search": tasks.search,
    "schedule.get": schedules.get,
    "schedule.create": schedules.create,
    "schedule.delete": schedules.delete,
    "schedule.search": schedules.search,
}

type Reply = Callable[[int, bytes], None]


class Request(Call):
    """A call that came over HTTP."""

    __slots__ = ("counted", "kind", "reply", "started")
    kind: str
    reply: Reply
    started: float
    counted: bool


class Api:
    """Reads, runs and answers each request."""

    def __init__(
        self,
        store: Store,
        timers: Timers,
        delivery: Delivery,
        metrics: Metrics,
        auth: Auth | None,
        debugging: bool,
    ) -> None:
        self._store = store
        self._timers = timers
        self._delivery = delivery
        self._metrics = metrics
        self._auth = auth
        self._debugging = debugging
        operations = dict(OPERATIONS)
        if debugging:
            operations |= {
                "debug.start": self._start,
                "debug.stop": self._stop,
                "debug.reset": lambda tx, _: debug.reset(tx),
                "debug.snap": self._snap,
                "debug.tick": debug.tick,
            }
        #: kind -> its operation, the type of its data
        self._operations = {kind: (do, REQUESTS[kind]) for kind, do in operations.items()}

    def handle(self, body: bytes, reply: Reply) -> None:
        """Calls `reply` with the HTTP status and body once the result is durable."""
        started = perf_counter()
        request = Request(None, None, 0, '"0"', self._done)
        request.started = started
        request.reply = reply
        request.counted = False
        request.kind = "unknown"
        try:
            self._read(body, request)
        except Refusal as refusal:
            request.operation = None
            request.answer = refusal.status, text(refusal.message)
        except Exception as error:
            log.exception("a request could not be read: %r", body[:1000])
            request.operation = None
            request.answer = 500, text(f"Internal error: {error!r}")
        self._store.submit(request)

    def _read(self, body: bytes, request: Request) -> None:
        """Finds the operation and its data. Raises Refusal."""
        try:
            asked = read_envelope(body)
        except BadEnvelope as error:
            request.kind, request.corr = error.kind, text(error.corr)
            raise
        kind = request.kind = asked.kind
        head = asked.head
        request.corr = text(head.corrId)
        if not kind:
            raise Refusal(400, "Missing or invalid 'kind' field — must be a non-empty string")
        if memoryview(asked.data)[:1].tobytes() != b"{":
            raise Refusal(400, "Invalid 'data' field — must be an object")
        if head.version != PROTOCOL:
            raise Refusal(
                400, f"Unsupported protocol version '{head.version}', supported versions: [\"{PROTOCOL}\"]"
            )
        request.counted = True
        if self._auth is not None:
            self._auth.check(kind, head.auth, asked.data)
        request.now = (
            head.debug_time if self._debugging and head.debug_time is not None else self._store.now()
        )
        found = self._operations.get(kind)
        if found is None:
            if kind in REQUESTS:
                raise Refusal(403, "Debug operations are disabled")
            raise Refusal(400, f"Unknown operation: {kind}")
        do, type_ = found
        request.request = decode(type_, asked.data)
        request.operation = do

    def _done(self, call: Call) -> None:
        assert isinstance(call, Request)
        status, data = call.answer
        if call.counted:
            self._metrics.request(call.kind, status, perf_counter() - call.started)
        if call.answer is DAMAGED:
            pass  # the store has logged it once
        elif status >= 400:
            log.log(
                logging.ERROR if status >= 500 else logging.WARNING,
                "request rejected kind=%s corr_id=%s status=%d: %s",
                call.kind,
                call.corr,
                status,
                data,
            )
        elif log.isEnabledFor(logging.INFO):
            log.info("request completed kind=%s corr_id=%s status=%d", call.kind, call.corr, status)
        call.reply(status, envelope(text(call.kind), call.corr, status, data))

    def _start(self, tx: Transaction, _: Any) -> Answer:
        """Pauses timers and deliveries."""
        self._timers.paused = self._delivery.paused = True
        return 200, "{}"

    def _stop(self, tx: Transaction, _: Any) -> Answer:
        self._timers.resume()
        self._delivery.resume()
        return 200, "{}"

    def _snap(self, tx: Transaction, _: Any) -> Answer:
        waiting = {} if tx.reset else self._delivery.executes
        return debug.snap(tx, {**waiting, **tx.executes})
