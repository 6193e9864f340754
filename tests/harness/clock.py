"""The server's time, moved by a test: `debug.tick` of a server in debug mode (`Stack(debug=True)`).

What moves: everything that the server does when a time has come. Promises whose deadline is before the new time time
out, pauses end, leases expire, tasks are offered again, schedules fire.

What does not move: the containers' clocks, the server's included. The server handles requests at the machine's time, so
the times on promises are the machine's. The deadline of a promise that is created after a move is counted from the
machine's current time. The worker measures a try (the limit of a download, of a model's answer) by its own clock. A
test can show with it that nothing on the server ends a job early, and that a job goes on when its time comes.

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
        #: The sum of all moves.
        self.passed = timedelta()

    def advance(self, by: timedelta) -> None:
        """Let everything happen that is due between now and then. Each move starts from the machine's current time.

        First waits until no worker holds a lease, because a move would also let leases expire.
        """
        wait_for(lambda: not held(self._stack), "every worker to have given back what it held")
        then = int((time.time() + by.total_seconds()) * 1000)
        answer = self._stack.resonate("debug.tick", time=then)
        assert answer["head"]["status"] == 200, answer
        self.passed += by


def held(stack: Stack) -> list[str]:
    """The ids of the tasks that a worker has a lease on."""
    tasks = stack.resonate("debug.snap")["data"]["tasks"]
    return [task["id"] for task in tasks if task["state"] == "acquired"]
