"""The guarded HTTP client: which addresses it connects to, and how downloads fail."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web as server

from durable_lambda.worker import Permanent, Transient
from durable_lambda.worker.trouble import CODES, Trouble
from durable_lambda.worker.web import Web, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
        "255.255.255.255", "fd00:ec2::254",
        # Metadata services of clouds: Azure, Alibaba, Oracle, OpenStack over IPv6, ECS tasks.
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
        # Private addresses embedded in other addresses.
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
        # Nothing can be fetched from these. The function refuses them, but a job that was created directly on the
        # server may contain them.
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


#: Redirect targets at which no document can be.
LOCATIONS = [
    "https://[127.0.0.1]/", "https://[::1", "http://[", "https://host:99999/", "https://host:-1/",
    "https://host:port/", "https://", "https://:443/", "https://..", f"https://{'a' * 64}.example/", "https://\u2488.test/",
    "//[", "https://exa mple.com:x/", "javascript:alert(1)", "data:text/plain,words", "s3://work/x", "https://127.1/",
    "https://[fec0::1]/", "https://168.63.129.16/", "https://192.88.99.1/", "https://[64:ff9b:1::1]/",
    "https://s3.us-east-1.amazonaws.com/work/a/text.txt", "https://work.s3.amazonaws.com/a", "x" * 5000 + "://[",
]  # fmt: skip


def no_bucket(url: str) -> None:
    """An application's own rule."""
    if "amazonaws.com" in url:
        raise ValueError("must not lead into a bucket")


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
    web = Web(private_hosts=["127.0.0.1"], rule=no_bucket)
    target = tmp_path / "d"

    async def failing(name: str) -> Trouble:
        with pytest.raises(Trouble) as caught:
            await web.download(f"{base}/{name}", target, limit=100_000, seconds=10)
        assert caught.value.code in CODES
        return caught.value

    try:
        sha256, size, kind = await web.download(f"{base}/moved", target, limit=100_000, seconds=10)
        assert (sha256, size, kind) == (hashlib.sha256(body).hexdigest(), len(body), "text/plain")
        assert target.read_bytes() == body
        assert (await failing("404")).code == "not_found"
        assert (await failing("403")).code == "not_readable"
        assert (await failing("endless")).code == "too_large"
        assert (await failing("round")).code == "not_readable"
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
