"""Takes longer to import than the Init phase may; only the second attempt, in the invocation, has the time."""

import time

time.sleep(2.5)


def handler(event: object, context: object) -> object:
    return event
