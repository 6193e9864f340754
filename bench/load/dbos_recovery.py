"""A DBOS workflow whose second step kills its process when it runs for the first time. Prints each event with its Unix
time.

Usage: python dbos_recovery.py ROUND     (in a container that is started again at once)
"""

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

from dbos import DBOS, DBOSConfig, SetWorkflowID


def say(what: str) -> None:
    sys.stdout.write(f"{what} {time.time()}\n")
    sys.stdout.flush()


@DBOS.step()
def first() -> int:
    return 1


@DBOS.step()
def second() -> int:
    if not Path("/data/killed").exists():
        Path("/data/killed").touch()
        say("killed")
        os.kill(os.getpid(), signal.SIGKILL)
    say("again")
    return 2


@DBOS.workflow()
def workflow() -> int:
    return first() + second()


if __name__ == "__main__":
    with sqlite3.connect("/data/dbos.db") as db:
        db.execute("PRAGMA journal_mode = WAL")
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": "sqlite:////data/dbos.db",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    with SetWorkflowID("one"):
        DBOS.start_workflow(workflow).get_result()
    while True:
        signal.pause()
