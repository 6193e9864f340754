"""Importing takes longer than the Init phase may take; only the second attempt, during the invocation, has enough time."""

import time

time.sleep(2.5)


def handler(event: object, context: object) -> object:
    return event
