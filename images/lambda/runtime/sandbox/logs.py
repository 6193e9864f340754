"""The function's log: everything it and Lambda write goes to the container's log; the tail of one
invocation is kept."""

import asyncio
import os
import sys

#: X-Amz-Log-Type: Tail answers the last 4 KB, https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
TAIL_BYTES = 4096
_READ_BYTES = 65536


class Logs:
    """Reads the pipe which is the function's stdout and stderr."""

    def __init__(self) -> None:
        self._tail = bytearray()
        self._pipe: int | None = None
        self._flushing = False

    def begin(self) -> None:
        """Starts the tail of a new invocation."""
        self._tail.clear()

    @property
    def tail(self) -> bytes:
        return bytes(self._tail)

    def write(self, text: str) -> None:
        """A line of Lambda's own."""
        self._keep(text.encode())

    def open(self) -> int:
        """A new pipe for a new function; the write end is the caller's to pass on and close."""
        self.close()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._pipe = reading
        asyncio.get_running_loop().add_reader(reading, self.drain)
        return writing

    def drain(self) -> None:
        """Takes what was written up to now. A process writes before it answers, so at the answer nothing is
        missed.
        """
        if self._pipe is None:
            return
        # With a limit: a function that writes without end must not block the supervisor.
        for _ in range(64):
            try:
                chunk = os.read(self._pipe, _READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self.close()
                return
            self._keep(chunk)

    def close(self) -> None:
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None

    def _flush(self) -> None:
        self._flushing = False
        sys.stdout.buffer.flush()

    def _keep(self, chunk: bytes) -> None:
        sys.stdout.buffer.write(chunk)
        if not self._flushing:
            # Later in the event loop: whoever waits for an answer must not wait for the log too.
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)
        self._tail += chunk
        if len(self._tail) > TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
