"""Settings, the guarded web, signatures, retries: the worker's own parts."""

import base64
import hashlib
import hmac
import inspect
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web as server
from resonate.connections import HttpConnection, SSEConnection
from resonate.context import Context
from resonate.error import ApplicationError
from resonate.resonate import Resonate
from resonate.retry import Never

import durable
import tools
import workflow
from connections import Client, Inbox, Requests, check_sdk
from contract import FAULTS, Job, failure_of
from durable import JobFailed, Step, run_step
from settings import SettingError, Settings, load, model_keys
from steps.notify_requester import message_id_of, signed_headers
from tools import Tools
from trouble import Permanent, Transient
from web import Web, is_public

JOB = Job(jobId="j", documentUrl="s3://documents/a.pdf", requesterId="r", type="contract")


# ---------------------------------------------------------------- settings


def test_settings_come_from_the_environment_and_name_what_is_wrong() -> None:
    assert load({}, Path("/nowhere")) == Settings()
    found = load(
        {"MAX_DOCUMENT_MB": "5", "WEBHOOK_RETRY_SECONDS": "1, 2.5", "PRIVATE_HOSTS": "a.test, 10.0.0.7"}
    )
    assert (found.max_document_bytes, found.webhook_retry_seconds, found.private_hosts) == (
        5_000_000,
        (1, 2.5),
        ("a.test", "10.0.0.7"),
    )
    assert load({"RESONATE_TASK_TTL_SECONDS": "7"}).task_ttl_seconds == 7
    for bad in (
        {"WORKER_CONCURRENCY": "many"},
        {"MAX_DOCUMENT_MB": "0"},
        {"PRIVATE_HOSTS": "http://a.test"},
        {"TASK_TRIES": "1"},
    ):
        name = next(iter(bad))
        with pytest.raises(SettingError, match=f"{name}='{bad[name]}'"):
            load(bad)


def test_a_bucket_of_the_stack_s_own_is_no_source() -> None:
    for bad in (
        {"WORK_BUCKET": "documents"},
        {"RESULTS_BUCKET": "one", "DOCUMENTS_BUCKET": "one"},
        {"SOURCE_BUCKETS": "a, work"},
    ):
        with pytest.raises(SettingError, match="a bucket of its own"):
            load(bad, Path("/nowhere"))
    assert load({"SOURCE_BUCKETS": "other"}, Path("/nowhere")).sources.allowed == {"other", "documents"}


def test_secrets_come_from_files_unless_the_environment_has_them(tmp_path: Path) -> None:
    (tmp_path / "webhook_secret").write_text("whsec_YQ==\n")
    (tmp_path / "resonate_token").write_text("")
    (tmp_path / "model_keys").write_text("OPENAI_API_KEY=sk-a=b\nANTHROPIC_API_KEY=\n")
    found = load({}, tmp_path)
    assert (found.webhook_secret, found.resonate_token) == ("whsec_YQ==", "")
    assert load({"WEBHOOK_SECRET": "whsec_Yg=="}, tmp_path).webhook_secret == "whsec_Yg=="
    assert model_keys(tmp_path) == {"OPENAI_API_KEY": "sk-a=b"}
    assert model_keys(tmp_path / "none") == {}


def test_a_secret_that_cannot_sign_stops_the_worker_and_is_not_shown() -> None:
    for good in ("", "whsec_a2V5", "a2V5"):
        assert load({"WEBHOOK_SECRET": good}, Path("/nowhere")).webhook_secret == good
    with pytest.raises(SettingError, match="WEBHOOK_SECRET") as caught:
        load({"WEBHOOK_SECRET": "whsec_not base64!"})
    assert "not base64!" not in str(caught.value)


# ---------------------------------------------------------------- the web


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
        "255.255.255.255", "fd00:ec2::254",
        # Clouds' metadata: Azure, Alibaba, Oracle, OpenStack over IPv6, ECS tasks.
        "168.63.129.16", "100.100.100.200", "192.0.0.192", "fe80::a9fe:a9fe%eth0", "169.254.170.2", "fd00:ec2::23",
        # IANA's registries of special purposes, first and last of each range.
        "0.255.255.255", "10.255.255.255", "100.127.255.255", "127.255.255.255", "169.254.0.0", "172.31.255.255",
        "192.0.0.0", "192.0.0.9", "192.0.0.10", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.31.196.1",
        "192.52.193.1", "192.88.99.0", "192.88.99.255", "192.168.255.255", "192.175.48.1", "198.18.0.0",
        "198.19.255.255", "198.51.100.0", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "254.1.1.1",
        "::", "::2", "::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::1", "64:ff9b:1::808:808", "100::1", "100:0:0:1::1",
        "2001::1", "2001:0:808:808::1", "2001:1::1", "2001:2::1", "2001:3::1", "2001:4:112::1", "2001:20::1",
        "2001:30::1", "2001:1ff:ffff::1", "2001:db8::1", "2620:4f:8000::1", "3fff::1", "3fff:fff::1", "4000::1",
        "5f00::1", "fc00::1", "fdff::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1",
        # The same inside of others.
        "::ffff:168.63.129.16", "::ffff:192.88.99.1", "64:ff9b::a83f:8110", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "2002:a83f:8110::1", "2002:c058:6301::",
    ],
)  # fmt: skip
def test_private_addresses_are_no_public_ones(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "168.63.129.15", "192.0.1.1", "192.88.98.1", "198.17.1.1", "223.255.255.255",
     "2606:4700:4700::1111", "2001:4860:4860::8888", "2001:200::1", "64:ff9b::808:808", "2002:808:808::1"],
)  # fmt: skip
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "http://example.com/",
        "https://localhost/",
        "https://169.254.169.254/x",
        "https://168.63.129.16/",
        "https://[fec0::1]/",
        "https://[::ffff:7f00:1]:8001/",
        "https://example.com@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://127.0.0.1\\@example.com/",
        "https://127.0.0.1./",
        # None that anything could be fetched from: the function refuses these, a job put on the server need not.
        "https://[127.0.0.1]/",
        "https://[::1",
        "https://[v1.x]/",
        "https:///",
        "https://",
        "https://exa mple.com:99999/",
        f"https://{'a' * 64}.example/",
        "",
        "nonsense",
    ],
)
async def test_private_and_plain_urls_are_refused(tmp_path: Path, url: str) -> None:
    web = Web(private_hosts=["a.test"])
    try:
        with pytest.raises(Permanent) as caught:
            await web.download(url, tmp_path / "d", limit=100, seconds=5)
        assert caught.value.code == "url_not_allowed"
        with pytest.raises(Permanent):
            await web.post(url, b"", {})
    finally:
        await web.close()


#: What a redirect may say, and no document lies at.
LOCATIONS = [
    "https://[127.0.0.1]/", "https://[::1", "http://[", "https://host:99999/", "https://host:-1/",
    "https://host:port/", "https://", "https://:443/", "https://..", f"https://{'a' * 64}.example/", "https://\u2488.test/",
    "//[", "https://exa mple.com:x/", "javascript:alert(1)", "data:text/plain,words", "s3://work/x", "https://127.1/",
    "https://[fec0::1]/", "https://168.63.129.16/", "https://192.88.99.1/", "https://[64:ff9b:1::1]/",
    "https://s3.us-east-1.amazonaws.com/work/a/text.txt", "https://work.s3.amazonaws.com/a", "x" * 5000 + "://[",
]  # fmt: skip


async def serve(handler: Any) -> tuple[server.AppRunner, str]:
    app = server.Application()
    app.router.add_route("*", "/{name:.*}", handler)
    runner = server.AppRunner(app)
    await runner.setup()
    site = server.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_download_streams_measures_and_sorts_what_goes_wrong(tmp_path: Path) -> None:
    body = b"words " * 1000

    async def handler(request: server.Request) -> server.StreamResponse:
        match request.match_info["name"]:
            case "ok":
                return server.Response(body=body, content_type="text/plain")
            case "moved":
                raise server.HTTPFound("/ok")
            case "round":
                raise server.HTTPFound("/round")
            case "to-file":
                raise server.HTTPFound("file:///etc/passwd")
            case "to":
                return server.Response(status=302, headers={"Location": request.query["to"]})
            case "endless":
                answer = server.StreamResponse()
                await answer.prepare(request)
                for _ in range(1000):
                    await answer.write(body)
                return answer
            case "cut":
                answer = server.StreamResponse(headers={"Content-Length": "9999"})
                await answer.prepare(request)
                await answer.write(b"half")
                assert request.transport
                request.transport.close()
                return answer
            case name:
                return server.Response(status=int(name), headers={"Retry-After": "7"})

    runner, base = await serve(handler)
    web = Web(private_hosts=["127.0.0.1"])
    target = tmp_path / "d"

    async def failing(name: str) -> Permanent | Transient:
        with pytest.raises((Permanent, Transient)) as caught:
            await web.download(f"{base}/{name}", target, limit=100_000, seconds=10)
        assert caught.value.code in FAULTS
        return caught.value

    try:
        sha256, size, kind = await web.download(f"{base}/moved", target, limit=100_000, seconds=10)
        assert (sha256, size, kind) == (hashlib.sha256(body).hexdigest(), len(body), "text/plain")
        assert target.read_bytes() == body
        assert (await failing("404")).code == "document_not_found"
        assert (await failing("403")).code == "document_not_readable"
        assert (await failing("endless")).code == "document_too_large"
        assert (await failing("round")).code == "document_not_readable"
        assert (await failing("to-file")).code == "url_not_allowed"
        for location in LOCATIONS:
            refused = await failing(f"to?{urlencode({'to': location})}")
            assert isinstance(refused, Permanent), location
            assert refused.code == "url_not_allowed", (location, refused)
            assert len(refused.message) < 400
        busy = await failing("503")
        assert isinstance(busy, Transient)
        assert busy.retry_after == 7
        assert isinstance(await failing("cut"), Transient)
    finally:
        await web.close()
        await runner.cleanup()


# ---------------------------------------------------------------- the SDK


def test_the_sdk_has_what_is_overridden() -> None:
    check_sdk()


def test_what_is_overridden_is_what_the_sdk_calls() -> None:
    """The SDK's own loops call the private methods that are overridden; were they renamed, ours would be dead code."""
    assert "self._ensure_session()" in inspect.getsource(HttpConnection.send)
    loop = inspect.getsource(SSEConnection._sse_loop)
    assert "self._ensure_session()" in loop
    assert "await self._read_stream(resp)" in loop
    assert "recv(self._on_message)" in inspect.getsource(Resonate.start)
    for ours, theirs in ((Requests, HttpConnection), (Inbox, SSEConnection), (Client, Resonate)):
        for name in ("_ensure_session", "_read_stream", "send", "_on_message"):
            if name in vars(ours):
                assert list(inspect.signature(getattr(ours, name)).parameters) == list(
                    inspect.signature(getattr(theirs, name)).parameters
                )


# ---------------------------------------------------------------- webhooks


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
    secret = base64.b64encode(b"k" * 24).decode()
    headers = signed_headers(f"whsec_{secret}", "msg_1", 1, b"{}")
    expected = base64.b64encode(hmac.digest(b"k" * 24, b"msg_1.1.{}", "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


# ---------------------------------------------------------------- tries


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(ctx: Context, duration: timedelta) -> None: ...

    monkeypatch.setattr(durable, "pause", at_once)


class Flaky:
    """A step that fails as it is told, and counts."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.runs = 0

    async def run(self, tools: Tools, job: Job) -> dict[str, Any]:
        self.runs += 1
        if self.failures:
            raise self.failures.pop(0)
        return {"run": self.runs}


async def outcome_of(flaky: Flaky, **settings: Any) -> Any:
    """Run a one-step workflow on the SDK's own in-process server, which does not end promises by deadline."""
    resonate = Resonate(retry_policy=Never(), env={})

    async def flow(ctx: Context) -> dict[str, Any]:
        return await run_step(ctx, Step("extract_text", flaky.run), JOB)

    resonate.register(flow)
    resonate.with_dependency(Tools(Settings(**{"step_retry_seconds": (0.05, 0.05), **settings})))
    try:
        handle = resonate.options(timeout=timedelta(days=1)).run("doc/j", flow)
        return await handle.result()
    finally:
        await resonate.stop()


async def test_a_transient_fault_is_tried_again() -> None:
    flaky = Flaky(Transient("storage_unavailable", "down"), Transient("storage_unavailable", "still down"))
    assert await outcome_of(flaky) == {"run": 3}


@pytest.mark.parametrize(
    ("failures", "runs", "code"),
    [
        ([Permanent("document_encrypted", "locked")], 1, "document_encrypted"),
        ([Transient("storage_unavailable", "down")] * 9, 3, "storage_unavailable"),
        ([Transient("analyzer_output_invalid", "bad", most=2)] * 9, 2, "analyzer_output_invalid"),
        ([ZeroDivisionError("oops")] * 9, 3, "internal_error"),
    ],
)
async def test_what_does_not_pass_ends_the_job_with_its_code(
    failures: list[Exception], runs: int, code: str
) -> None:
    flaky = Flaky(*failures)
    with pytest.raises((JobFailed, ApplicationError)) as caught:
        await outcome_of(flaky)
    fault = failure_of({"message": str(caught.value)})
    assert (fault.step, fault.code, flaky.runs) == ("extract_text", code, runs)
    assert code in FAULTS


async def test_a_step_that_cost_one_worker_after_the_other_is_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tools, "_nothing_refused", {"doc/j:1.1": "5 workers in a row were lost."}.get)
    flaky = Flaky()
    with pytest.raises(ApplicationError) as caught:
        await outcome_of(flaky)
    fault = failure_of({"message": str(caught.value)})
    assert (fault.step, fault.code, flaky.runs) == ("extract_text", "worker_lost", 0)
    assert fault.message == "5 workers in a row were lost."


async def test_a_step_whose_promise_is_rejected_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(ctx: Context, *_: Any) -> None:
        raise KeyError("a bug, or somebody else")

    monkeypatch.setattr(durable, "one_try", broken)
    with pytest.raises(ApplicationError) as caught:
        await outcome_of(Flaky())
    fault = failure_of({"message": str(caught.value)})
    assert (fault.step, fault.code) == ("extract_text", "internal_error")
    assert "a bug, or somebody else" in fault.message


class Outside:
    """S3 and the web, both away for two tries."""

    def __init__(self) -> None:
        self.tries = 0

    async def put_json(self, bucket: str, key: str, value: Any) -> str:
        return str(self._reached(f"s3://{bucket}/{key}"))

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        return int(self._reached("200"))

    def _reached(self, answer: str) -> str:
        self.tries += 1
        if self.tries <= 2:
            raise Transient("storage_unavailable", "away")
        return answer


@pytest.mark.parametrize(
    ("callback", "waited"), [(None, [1.0, 2.0]), ("https://receiver.example/hook", [5.0, 30.0])]
)
async def test_a_receiver_is_given_more_time_than_an_inbox(
    monkeypatch: pytest.MonkeyPatch, callback: str | None, waited: list[float]
) -> None:
    """After a bad minute of S3's, a message for an inbox once waited ten minutes, as if it were a webhook."""
    pauses: list[float] = []

    async def paused(ctx: Context, duration: timedelta) -> None:
        pauses.append(duration.total_seconds())

    monkeypatch.setattr(durable, "pause", paused)
    tools, outside = (
        Tools(Settings(webhook_secret="whsec_" + base64.b64encode(b"k" * 24).decode())),
        Outside(),
    )
    tools.storage = tools.web = outside  # type: ignore[assignment]
    job = JOB.model_copy(update={"callbackUrl": callback})
    resonate = Resonate(retry_policy=Never(), env={})

    async def flow(ctx: Context) -> dict[str, Any]:
        return await workflow.deliver_notice(ctx, job, "job.done", {}, 1)

    resonate.register(flow)
    resonate.with_dependency(tools)
    try:
        told = await resonate.options(timeout=timedelta(days=1)).run("doc/j", flow).result()
    finally:
        await resonate.stop()
    assert told["delivered"] is True
    assert pauses == waited
