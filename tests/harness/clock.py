"""The server's time, moved by a test: `debug.tick` of a server in debug mode (`Stack(debug=True)`).

What moves: everything the server does because a time has come. Promises whose deadline has passed end, pauses with
them, leases end, tasks are offered again, schedules fire: all that is due until then.

What does not: the clocks of the containers, the server's among them. A request happens at the machine's time, so the
times on promises are the machine's; a promise made after a move has its deadline counted from the machine's now; the
worker counts the seconds of a try (a download's limit, a model's) by its own clock. What a test can show with it is
that nothing on the server ends a job early, and that what waits goes on when its time comes.

Protocol: https://github.com/resonatehq/resonate, v0.9.8, `server.rs`, `op_debug_tick`.
"""

import time
from datetime import timedelta

from harness.stack import Stack
from harness.waiting import wait_for


class ServerClock:
    """The time of a stack's server."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        answer = stack.resonate("debug.snap")
        if answer["head"]["status"] != 200:
            raise RuntimeError(f"the server is not in debug mode; start it with Stack(debug=True): {answer}")
        #: What has been made to pass, one after the other.
        self.passed = timedelta()

    def advance(self, by: timedelta) -> None:
        """Have everything happen that is due between now and then; each move begins at the machine's now.

        Waits until no worker holds a lease: a move would end those as well, which is another test.
        """
        wait_for(lambda: not held(self._stack), "every worker to have given back what it held")
        then = int((time.time() + by.total_seconds()) * 1000)
        answer = self._stack.resonate("debug.tick", time=then)
        assert answer["head"]["status"] == 200, answer
        self.passed += by


def held(stack: Stack) -> list[str]:
    """The tasks that some worker has a lease on."""
    tasks = stack.resonate("debug.snap")["data"]["tasks"]
    return [task["id"] for task in tasks if task["state"] == "acquired"]
