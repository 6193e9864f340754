"""The last step: notifies the requester, by a signed webhook or by a message in an inbox in S3.

Webhooks follow Standard Webhooks (https://www.standardwebhooks.com): one id however often a message is sent, so that the
receiver can ignore repetitions; a timestamp; an HMAC-SHA256 signature over id, timestamp and body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from contract import Job
from durable_lambda.worker import Permanent, Transient
from steps.keys import inbox_key
from tools import Tools

_GONE = 410


async def notify_requester(
    tools: Tools, job: Job, event: str, data: dict[str, Any], attempt: int
) -> dict[str, Any]:
    """Checkpoint: `{"channel": "webhook"|"inbox", "where", "when", "id", "delivered"}`, with `reason` if not delivered."""
    if job.callbackUrl is None:
        return await leave_in_inbox(tools, job, event, data, attempt)
    secret = tools.settings.webhook_secret.get_secret_value()
    if not secret:
        raise Permanent(
            "receiver_refused", "WEBHOOK_SECRET is not set on the worker; it sends no unsigned webhooks."
        )
    message_id = message_id_of(job, event, attempt)
    body = _message(job, event, data)
    now = time.time()
    try:
        status = await tools.web.post(
            job.callbackUrl, body, signed_headers(secret, message_id, int(now), body)
        )
    except Transient as trouble:
        raise Transient("receiver_unavailable", trouble.message) from None
    except Permanent as trouble:
        code = (
            "receiver_refused" if trouble.code == "not_readable" else trouble.code
        )  # its certificate cannot be trusted
        raise Permanent(code, trouble.message) from None
    await tools.crash_point(job, "notify_requester", "middle")
    if 200 <= status < 300:
        return _checkpoint("webhook", job.callbackUrl, now, message_id)
    if status == _GONE:
        raise Permanent("receiver_refused", "The webhook's receiver answers 410: it wants no more messages.")
    raise Transient("receiver_unavailable", f"The webhook's receiver answers {status}.")


async def leave_in_inbox(
    tools: Tools, job: Job, event: str, data: dict[str, Any], attempt: int, undelivered: str = ""
) -> dict[str, Any]:
    """Put the message into `inbox/<requesterId>/` of the results bucket; `undelivered`: why a webhook was not delivered."""
    bucket, key = tools.settings.results_bucket, inbox_key(job, event)
    message = {"id": message_id_of(job, event, attempt), **json.loads(_message(job, event, data))}
    if undelivered:
        message["undelivered"] = {"callbackUrl": job.callbackUrl, "reason": undelivered}
    uri = await tools.storage.put_json(bucket, key, message)
    await tools.crash_point(job, "notify_requester", "middle")
    return _checkpoint("inbox", uri, time.time(), message["id"], undelivered)


def _checkpoint(
    channel: str, where: str, when: float, message_id: str, undelivered: str = ""
) -> dict[str, Any]:
    """The notification in a job's result: one shape for both channels."""
    told = {"channel": channel, "where": where, "when": _iso(when), "id": message_id}
    return {**told, "delivered": not undelivered, **({"reason": undelivered} if undelivered else {})}


def message_id_of(job: Job, event: str, attempt: int) -> str:
    """One id for one message, whoever sends it, however often."""
    seed = f"{job.jobId}\n{attempt}\n{event}".encode()
    return "msg_" + hashlib.sha256(seed).hexdigest()[:32]


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Standard Webhooks' headers. `secret` is `whsec_` and base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def _message(job: Job, event: str, data: dict[str, Any]) -> bytes:
    # The same bytes each time it is sent: nothing in it depends on the time.
    message = {"type": event, "data": {"jobId": job.jobId, "requesterId": job.requesterId, **data}}
    return json.dumps(message, ensure_ascii=False, sort_keys=True).encode()


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
