"""Messages to requesters: their ids, signatures and format, and how long delivery to a receiver is tried."""

import base64
import hmac
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from resonate.context import Context
from resonate.resonate import Resonate
from resonate.retry import Never

import workflow
from contract import FAULTS, Job
from durable_lambda.worker import Permanent, Transient, durable
from durable_lambda.worker.tools import provide
from settings import Settings
from steps.notify_requester import message_id_of, signed_headers
from tools import Tools

JOB = Job(jobId="j", documentUrl="s3://documents/a.pdf", requesterId="r", type="contract")
HOOK = "https://receiver.example/hook"
SECRET = SecretStr("whsec_" + base64.b64encode(b"k" * 24).decode())


def test_signature_is_that_of_standard_webhooks() -> None:
    """The example of the reference libraries, https://github.com/standard-webhooks/standard-webhooks."""
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_one_id_for_one_message_and_another_for_another() -> None:
    assert message_id_of(JOB, "job.done", 1) == message_id_of(JOB, "job.done", 1)
    others = {message_id_of(JOB, event, n) for event in ("job.done", "job.failed") for n in (1, 2)}
    assert len(others) == 4


def test_signature_covers_the_body() -> None:
    headers = signed_headers(SECRET.get_secret_value(), "msg_1", 1, b"{}")
    expected = base64.b64encode(hmac.digest(b"k" * 24, b"msg_1.1.{}", "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


# ---------------------------------------------------------------- delivery


class Outside:
    """S3 and the web: the first tries meet the failures."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)

    async def put_json(self, bucket: str, key: str, value: Any) -> str:
        return self._reached(f"s3://{bucket}/{key}")

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        return int(self._reached("200"))

    def _reached(self, answer: str) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return answer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a notice waited; it does not."""
    waited: list[float] = []

    async def paused(ctx: Context, duration: timedelta) -> None:
        waited.append(duration.total_seconds())

    monkeypatch.setattr(durable, "pause", paused)
    return waited


async def told(callback: str | None, *failures: Exception, secret: SecretStr = SECRET) -> dict[str, Any]:
    """The outcome of a notice when S3 and the web fail like that."""
    tools = Tools(Settings(webhook_secret=secret))
    tools.storage = tools.web = Outside(*failures)  # type: ignore[assignment]
    job = JOB.model_copy(update={"callbackUrl": callback})
    resonate = Resonate(retry_policy=Never(), env={})

    async def flow(ctx: Context) -> dict[str, Any]:
        return await workflow.deliver_notice(ctx, job, "job.done", {}, 1)

    resonate.register(flow)
    provide(resonate, tools)
    try:
        found: dict[str, Any] = await resonate.options(timeout=timedelta(days=1)).run("doc/j", flow).result()
        return found
    finally:
        await resonate.stop()


AWAY = [Transient("unreachable", "away"), Transient("unreachable", "away")]


@pytest.mark.parametrize(("callback", "waited"), [(None, [1.0, 2.0]), (HOOK, [5.0, 30.0])])
async def test_a_receiver_is_given_more_time_than_an_inbox(
    pauses: list[float], callback: str | None, waited: list[float]
) -> None:
    """After a bad minute of S3's, a message for an inbox once waited ten minutes, as if it were a webhook."""
    assert (await told(callback, *AWAY))["delivered"] is True
    assert pauses == waited


@pytest.mark.usefixtures("pauses")
async def test_a_notification_has_one_shape() -> None:
    inbox = "s3://results/inbox/r/j.job.done.json"
    by_webhook, by_inbox = await told(HOOK), await told(None)
    undelivered = await told(HOOK, Permanent("url_not_allowed", "not there"))
    for found, channel, where in (
        (by_webhook, "webhook", HOOK),
        (by_inbox, "inbox", inbox),
        (undelivered, "inbox", inbox),
    ):
        assert found.pop("when").endswith("Z")
        assert (found.pop("channel"), found.pop("where")) == (channel, where)
        assert found.pop("id") == message_id_of(JOB, "job.done", 1)
    assert by_webhook == by_inbox == {"delivered": True}
    assert undelivered == {"delivered": False, "reason": "not there"}


@pytest.mark.usefixtures("pauses")
async def test_an_unsigned_webhook_is_not_sent() -> None:
    found = await told(HOOK, secret=SecretStr(""))
    assert found["delivered"] is False
    assert "WEBHOOK_SECRET is not set" in found["reason"]


@pytest.mark.usefixtures("pauses")
async def test_a_receiver_whose_certificate_cannot_be_trusted_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        found = await told(HOOK, Permanent("not_readable", "It has a certificate that cannot be trusted."))
    assert found["reason"] == "It has a certificate that cannot be trusted."
    codes = {record.code for record in caplog.records if hasattr(record, "code")}
    assert codes == {"receiver_refused"}
    assert codes <= set(FAULTS)
