"""One generation: a RIE process and the function's processes below it, from the cold start to a crash or to the end."""

import asyncio
import contextlib
import json
import os
import socket
import time
import uuid

from shared.wire import Response

from . import runtime_api
from .invocation import Fault, Invocation
from .logs import Logs
from .processes import MB, Processes, kill_below, oom_kills
from .rie import Rie, RieError
from .settings import Settings

_MEMORY_SAMPLE_SECONDS = 0.02
_RIE_ANSWER_SECONDS = 2.0


class Generation:
    """Serves one invocation at a time; after a Fault it cannot be used again and is ended.

    Its methods `next`, `response`, `error`, `init_error` are the Runtime API's (see runtime_api.Handlers).
    """

    def __init__(self, settings: Settings, logs: Logs) -> None:
        self._settings = settings
        self._logs = logs
        self._rie: Rie | None = None
        self._listener: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self.processes: Processes | None = None
        self.initialised = False
        #: The end of the phase that runs (init or invocation): None if all went well.
        self._phase: asyncio.Future[Fault | None] | None = None
        self._current: Invocation | None = None
        self._rie_id = ""
        self._deadline_ms = 0
        self._handed = asyncio.Event()
        self._post: asyncio.Task[Response] | None = None
        self._failed = False
        self._watch: asyncio.TimerHandle | None = None
        self._init_fault: Fault | None = None
        self._oom_before = oom_kills()
        self.dead = False

    @property
    def _running(self) -> Rie:
        if self._rie is None:
            raise RieError("RIE was not started")
        return self._rie

    async def prepare(self) -> None:
        """Starts RIE; the function itself starts with the first invocation. Raises RieError."""
        name = f"sandbox-{uuid.uuid4().hex}"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind("\0" + name)
        self._listener.listen(1)
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._launched)
        self._rie = await Rie.start(name)

    def _launched(self) -> None:
        """launch.py, which becomes the function's main process, asks for its environment variables and its log."""
        if self._listener is None:
            return
        connection, _ = self._listener.accept()
        with connection:
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            self.processes = Processes(int.from_bytes(peer[:4], "little"), self._running.pid)
            self._loop.add_reader(self.processes.pidfd, self._exited)
            log = self._logs.open()
            try:
                message = json.dumps(self._settings.environment(runtime_api.ADDRESS)).encode()
                socket.send_fds(connection, [message], [log])
            finally:
                os.close(log)
        self._forget_listener()

    def _forget_listener(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _end_phase(self, fault: Fault | None) -> None:
        if self._phase is not None and not self._phase.done():
            self._phase.set_result(fault)

    def _exited(self) -> None:
        if self.processes is not None:
            self._loop.remove_reader(self.processes.pidfd)
        self.dead = True
        self._logs.drain()
        self._end_phase(Fault("Runtime.ExitError", "Runtime exited without providing a reason"))

    # The two phases.

    async def init(self, invocation: Invocation, limit: float) -> Fault | None:
        """Starts the function and waits, at most `limit` seconds, until it asks for the invocation."""
        self._handed.clear()
        self._post = asyncio.create_task(self._running.invoke(invocation.payload))
        fault = await self._wait(limit)
        if fault is None:
            self.initialised = True
        elif self._init_fault is not None:
            return self._init_fault
        return fault

    async def run(self, invocation: Invocation, limit: float) -> tuple[Fault | None, bool, bytes]:
        """Gives the invocation to the function and waits, at most `limit` seconds, until it asks for the next one.

        Returns what went wrong, whether the handler raised, and what it answered.
        """
        self._failed = False
        self._current = invocation
        self._deadline_ms = int((time.time() + limit) * 1000)
        if self._post is None:
            self._post = asyncio.create_task(self._running.invoke(invocation.payload))
        self._handed.set()
        fault = await self._wait(limit)
        self._current = None
        if fault is not None:
            return fault, True, b""
        reply = await self._post
        self._post = None
        return None, self._failed, reply.body

    async def _wait(self, limit: float) -> Fault | None:
        self._phase = self._loop.create_future()
        timer = self._loop.call_later(limit, self._end_phase, timed_out(limit))
        self._watch = self._loop.call_later(_MEMORY_SAMPLE_SECONDS, self._sample)
        try:
            fault = await self._phase
        finally:
            timer.cancel()
            if self._watch is not None:
                self._watch.cancel()
            self._phase = None
        if fault is not None and fault.kind == "Runtime.ExitError" and self._init_fault is None:
            return await self._exit_reason(fault)
        return fault

    def _sample(self) -> None:
        """Ends the invocation if the function's processes use more than the configured memory."""
        self._watch = self._loop.call_later(_MEMORY_SAMPLE_SECONDS, self._sample)
        if self.processes is not None and self.processes.measure() > self._settings.memory * MB:
            self._end_phase(_out_of_memory())
            self.processes.kill()
        elif self._post is not None and self._post.done() and self._post.exception() is not None:
            self._end_phase(Fault("Runtime.ExitError", "the Runtime Interface Emulator ended"))

    async def _exit_reason(self, fault: Fault) -> Fault:
        """RIE, the parent, knows the exit status; the kernel knows whether it killed for lack of memory."""
        if oom_kills() > self._oom_before:
            return _out_of_memory()
        reason = await self._running.exit_reason(_RIE_ANSWER_SECONDS)
        if reason is not None:
            return Fault("Runtime.ExitError", reason)
        return fault

    # The Runtime API's handlers.

    async def next(self) -> tuple[dict[str, str], bytes]:
        if self.initialised and self.processes is not None:
            self._handed.clear()
            if self._settings.freeze:
                self.processes.freeze()
            self._logs.drain()
        following = asyncio.create_task(self._running.next())
        self._end_phase(None)
        try:
            reply = await following
        except RieError:
            self.dead = True
            raise
        self._rie_id = reply.headers.get("lambda-runtime-aws-request-id", "")
        await self._handed.wait()
        invocation = self._current
        if invocation is None:
            raise RieError("no invocation is running")
        if self._settings.freeze and self.processes is not None:
            self.processes.thaw()
        return invocation.headers(self._deadline_ms), reply.body

    async def response(self, request_id: str, body: bytes) -> bool:
        return await self._answer(request_id, "response", body)

    async def error(self, request_id: str, body: bytes, error_type: str) -> bool:
        self._failed = True
        return await self._answer(request_id, "error", body)

    async def _answer(self, request_id: str, kind: str, body: bytes) -> bool:
        if self._current is None or self._current.request_id != request_id:
            return False
        reply = await self._running.answer(f"invocation/{self._rie_id}/{kind}", body)
        return 200 <= reply.status < 300

    async def init_error(self, body: bytes, error_type: str) -> None:
        self._init_fault = Fault(error_type, "", body=body)

    def too_large(self, request_id: str) -> None:
        self._end_phase(
            Fault(
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size "
                f"({runtime_api.RESPONSE_BYTES} bytes).",
            )
        )

    async def end(self) -> None:
        """Kills everything that this generation started. The runtime gets no time to shut down: without extensions
        AWS's Shutdown phase has 0 ms."""
        self.dead = True
        self._forget_listener()
        if self.processes is not None:
            with contextlib.suppress(ValueError, OSError):
                self._loop.remove_reader(self.processes.pidfd)
            self._logs.drain()
            self.processes.kill()
            self.processes.close()
        if self._rie is not None:
            self._rie.stop()
        await asyncio.to_thread(kill_below, os.getpid())
        if self._post is not None:
            self._post.cancel()
            with contextlib.suppress(asyncio.CancelledError, RieError):
                await self._post
        self._logs.close()


def timed_out(limit: float) -> Fault:
    return Fault("Sandbox.Timedout", f"Task timed out after {limit:.2f} seconds", "timeout")


def _out_of_memory() -> Fault:
    return Fault("Runtime.OutOfMemory", "Runtime exited with error: signal: killed")
