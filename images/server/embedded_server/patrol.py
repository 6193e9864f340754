"""Reads every row once after the start, a few at a time and when nothing else is to be done, and compares its sum.

SQLite sees only whether pages fit together, and at the start only for so long as `opening` lets it.
"""

import asyncio

from .state.transaction import COLUMNS, Promise, sound
from .store import Store

_NEXT = f"SELECT {COLUMNS} FROM promises WHERE seq > ? ORDER BY seq LIMIT ?"
#: Rows at a time, and seconds between: a hundredth of a processor, 2,000 rows a second.
ROWS = 100
PAUSE = 0.05


class Patrol:
    """Reads all rows once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins, or continues."""
        self._handle = asyncio.get_running_loop().call_later(PAUSE, self._look)

    def stop(self) -> None:
        """Stops reading."""
        if self._handle is not None:
            self._handle.cancel()

    def _look(self) -> None:
        more = self._store.busy or self._store.read(self._some, False)
        if more and self._store.damage is None:
            self.start()

    def _some(self) -> bool:
        """Whether there may be more."""
        rows = self._store.db.execute(_NEXT, (self._last, ROWS)).fetchall()
        for row in rows:
            self._last = sound(Promise._make(row)).seq
        return len(rows) == ROWS
