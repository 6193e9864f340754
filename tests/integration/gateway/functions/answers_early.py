"""The classic bug: records the job in the background and answers at once.

On a laptop the background thread goes on after the answer, so this seems to work; AWS freezes it.
"""

import json
import threading
import time
import urllib.request


def _record(event: dict[str, str]) -> None:
    time.sleep(0.2)
    body = {
        "kind": "promise.create",
        "head": {"corrId": "early", "version": "2026-04-01"},
        "data": {
            "id": event["id"],
            "timeoutAt": int(time.time() * 1000) + 3_600_000,
            "param": {},
            "tags": {},
        },
    }
    request = urllib.request.Request(
        event["server"], json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10).read()


def handler(event: dict[str, str], context: object) -> object:
    threading.Thread(target=_record, args=(event,), daemon=True).start()
    return {"statusCode": 202}
