"""Signature Version 4 at S3's door, against what botocore makes: it is the client of nearly everybody here.

The verifier is shared with the Lambda API's door; it is tested here because here is botocore.
"""

import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from localstack.aws.api import CommonServiceException
from localstack_door.s3_answers import S3Error, answer, denied
from localstack_door.s3_payload import checked, payload_of

from shared.sigv4 import Key, KeysError, RefusedError, Request, Signed, Verifier, Why, read_keys

KEY = Key("LOCALAAAAAAAAAAAAAAA", "secret", "somebody")
NOW = datetime.now(UTC)
BODY = b"some bytes"


def verifier(service: str = "s3", minutes: int = 15) -> Verifier:
    return Verifier({KEY.id: KEY}, service, "us-east-1", timedelta(minutes=minutes))


class Declared(S3SigV4Auth):
    """Signs what it is told to say of the body; botocore itself hashes it."""

    said = ""

    def payload(self, request: AWSRequest) -> str:
        return self.said


def sign(
    method: str = "GET",
    url: str = "http://127.0.0.1:4566/documents/a.pdf",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    service: str = "s3",
    region: str = "us-east-1",
    key: Key = KEY,
    expires: int | None = None,
    token: str | None = None,
    payload: str | None = None,
) -> Request:
    """A request as botocore signs it, in the headers, or in the query where it `expires`; `payload` for its hash."""
    request = AWSRequest(method, url, dict(headers or {}), body)
    credentials = Credentials(key.id, key.secret, token)
    signer: Any
    if expires is None:
        kind = S3SigV4Auth if service == "s3" else SigV4Auth
        signer = kind(credentials, service, region)
    else:
        query = S3SigV4QueryAuth if service == "s3" else SigV4QueryAuth
        signer = query(credentials, service, region, expires=expires)
    if payload is not None:
        signer = Declared(credentials, service, region)
        signer.said = payload
    signer.add_auth(request)
    parts = urlsplit(request.url)
    given_headers = [(name.lower(), value) for name, value in request.headers.items()]
    return Request(method, parts.path, parts.query, [("host", parts.netloc), *given_headers])


def changed(request: Request, **fields: Any) -> Request:
    return Request(**{**vars(request), **fields})


def with_header(request: Request, name: str, value: str | None) -> Request:
    kept = [pair for pair in request.headers if pair[0] != name]
    return changed(request, headers=kept if value is None else [*kept, (name, value)])


def check(request: Request, service: str = "s3", body: bytes = b"", now: datetime | None = None) -> Signed:
    signed = verifier(service).read(request, now)
    signed.verify(payload_of(signed) if service == "s3" else hashlib.sha256(body).hexdigest())
    return signed


def refused(request: Request, now: datetime | None = None) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        check(request, now=now)
    return caught.value


# ---------------------------------------------------------------- good ones

URLS = [
    "http://127.0.0.1:4566/",
    "http://127.0.0.1:4566/documents?list-type=2&prefix=a%2Fb%20c&delimiter=%2F",
    "http://127.0.0.1:4566/documents?delete",
    "http://127.0.0.1:4566/documents?uploads=&prefix=%2B%C3%A9~",
    "http://127.0.0.1:4566/documents/a//b/../c%20%2B%C3%A9~/",
    "http://documents.s3.localhost.localstack.cloud:4566/key",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("expires", [None, 60])
def test_what_botocore_signs_for_s3_is_let_in(url: str, expires: int | None) -> None:
    assert check(sign(url=url, expires=expires)).key.owner == "somebody"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/2015-03-31/functions/function/invocations",
        "http://127.0.0.1:9000/2015-03-31/functions/function/invocations?Qualifier=%24LATEST",
        "http://127.0.0.1:9000/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A0%3Afunction%3Af/invocations",
    ],
)
@pytest.mark.parametrize("expires", [None, 60])
def test_what_botocore_signs_for_lambda_is_let_in(url: str, expires: int | None) -> None:
    headers = {"X-Amz-Invocation-Type": "Event", "User-Agent": "a  b"}
    # botocore moves the body of a presigned request into its query.
    body = BODY if expires is None else b""
    request = sign("POST", url, body, headers if expires is None else {}, service="lambda", expires=expires)
    assert check(request, "lambda", body)
    with pytest.raises(RefusedError):
        check(request, "lambda", body + b".")


@given(
    key=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40),
    value=st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_any_key_query_and_header(key: str, value: str) -> None:
    from botocore.utils import percent_encode

    url = f"http://127.0.0.1:4566/documents/{percent_encode(key, safe='/~')}?prefix={percent_encode(value)}"
    if urlsplit(url).path in ("/documents/.", "/documents/.."):  # no client sends those as they are
        return
    assert check(sign("PUT", url, BODY, {"x-amz-meta-a": value}))
    assert check(sign("GET", url, expires=5))


# ---------------------------------------------------------------- altered ones


@pytest.mark.parametrize("expires", [None, 60])
def test_whatever_is_altered_is_noticed(expires: int | None) -> None:
    request = sign("GET", "http://127.0.0.1:4566/documents/a?x=1", expires=expires)
    for fields in (
        {"method": "DELETE"},
        {"path": "/documents/b"},
        {"query": request.query.replace("x=1", "x=2")},
        {"query": request.query + "&y=1"},
    ):
        assert refused(changed(request, **fields)).why is Why.MISMATCH
    assert refused(with_header(request, "host", "evil.example")).why is Why.MISMATCH
    assert refused(with_header(request, "x-amz-acl", "public-read")).why is Why.UNSIGNED_HEADERS


def test_another_secret_and_another_key() -> None:
    assert refused(sign(key=Key(KEY.id, "other", ""))).why is Why.MISMATCH
    assert refused(sign(key=Key("LOCALBBBBBBBBBBBBBBB", "secret", ""))).why is Why.UNKNOWN_KEY
    assert refused(sign(token="a token")).why is Why.TOKEN
    assert refused(sign(token="a token", expires=60)).why is Why.TOKEN


@pytest.mark.parametrize("expires", [None, 60])
def test_another_scope(expires: int | None) -> None:
    error = refused(sign(region="eu-west-1", expires=expires))
    assert (error.why, error.details["field"], error.details["found"]) == (Why.SCOPE, "region", "eu-west-1")
    assert refused(sign(service="lambda", expires=expires)).details["field"] == "service"


def test_time() -> None:
    request = sign()
    for minutes in (-14, 14):
        assert check(request, now=NOW + timedelta(minutes=minutes))
    assert refused(request, NOW + timedelta(minutes=16)).why is Why.LATE
    assert refused(request, NOW - timedelta(minutes=16)).why is Why.EARLY
    request = sign(expires=3600)
    assert check(request, now=NOW + timedelta(minutes=59))
    assert refused(request, NOW + timedelta(minutes=61)).why is Why.EXPIRED
    assert refused(request, NOW - timedelta(minutes=16)).why is Why.NOT_YET
    for expires in (0, -1, 604801):
        assert refused(sign(expires=expires)).why is Why.EXPIRES


def test_unsigned_half_signed_and_signed_otherwise() -> None:
    bare = Request("GET", "/documents/a", "", [("host", "127.0.0.1:4566")])
    assert refused(bare).why is Why.MISSING
    assert refused(with_header(bare, "authorization", "AWS LOCALAAA:c2ln")).why is Why.ALGORITHM
    assert refused(with_header(bare, "authorization", "Bearer abc")).why is Why.ALGORITHM
    assert refused(changed(bare, query="AWSAccessKeyId=a&Signature=b&Expires=1")).why is Why.ALGORITHM
    for text in (
        "",
        "Credential=a/b",
        "Credential=a, Signature=b",
        "Credential=, SignedHeaders=host, Signature=b",
    ):
        assert refused(with_header(bare, "authorization", f"AWS4-HMAC-SHA256 {text}")).why is Why.INCOMPLETE
    good, url = sign(), sign(expires=60)
    assert refused(with_header(good, "x-amz-date", None)).why is Why.INCOMPLETE
    assert refused(with_header(good, "x-amz-date", "yesterday")).why is Why.INCOMPLETE
    assert refused(changed(good, headers=[*good.headers, ("authorization", "b")])).why is Why.INCOMPLETE
    assert refused(changed(good, query=url.query)).why is Why.TWICE
    for part in url.query.split("&"):
        without = "&".join(other for other in url.query.split("&") if other != part)
        assert refused(changed(url, query=without)).why in (Why.INCOMPLETE, Why.MISSING)
        assert refused(changed(url, query=f"{url.query}&{part}")).why is Why.INCOMPLETE
    assert refused(changed(good, headers=[(n, v.replace("host;", "")) for n, v in good.headers])).why is (
        Why.UNSIGNED_HEADERS
    )


# ---------------------------------------------------------------- bodies


def read(signed: Signed, body: bytes, length: int | None = None) -> bytes:
    if length is None:
        signed = replace(signed, request=with_header(signed.request, "transfer-encoding", "chunked"))
    return checked(io.BytesIO(body), signed, payload_of(signed), length).read()


def test_the_body_is_the_one_that_was_signed() -> None:
    signed = check(sign("PUT", body=BODY))
    for length in (len(BODY), None):
        assert read(signed, BODY, length) == BODY
        for other in (b"other bits", b""):
            with pytest.raises((CommonServiceException, S3Error)) as caught:
                read(signed, other, None if length is None else len(other))
            assert caught.value.code == "XAmzContentSHA256Mismatch"
    assert read(check(sign("PUT")), b"", 0) == b""


def test_a_body_that_was_not_signed_passes() -> None:
    for request in (
        sign("PUT", payload="UNSIGNED-PAYLOAD"),
        sign("PUT", payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        sign("PUT", expires=60),
    ):
        assert read(check(request), BODY) == BODY


@pytest.mark.parametrize("value", ["", "UNSIGNED", "A" * 64, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"])
def test_a_hash_that_is_none_is_refused(value: str) -> None:
    signed = verifier().read(sign("PUT", payload=value))
    with pytest.raises(S3Error) as caught:
        payload_of(signed)
    assert caught.value.code == "InvalidArgument"


def test_a_signature_in_the_headers_needs_the_body_s_hash() -> None:
    signed = verifier().read(with_header(sign(), "x-amz-content-sha256", None))
    with pytest.raises(S3Error) as caught:
        payload_of(signed)
    assert caught.value.code == "InvalidRequest"


def chunked(signed: Signed, *chunks: bytes) -> bytes:
    body, previous = b"", signed.signature
    for chunk in (*chunks, b""):
        previous = signed.chunk_signature(previous, chunk)
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n" * bool(chunk)
    return body + b"\r\n"


def test_each_chunk_is_the_one_that_was_signed() -> None:
    request = sign("PUT", payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    signed = check(request)
    body = chunked(signed, b"a" * 70_000, b"b" * 10)
    assert read(signed, body) == body
    for other in (
        body.replace(b"a", b"c", 1).replace(b"aaaa", b"aaac", 1),
        body.replace(b"bbbb", b"bbbc"),
        body[:-200],
        body.replace(b";chunk-signature=", b";chunk-nothing=", 1),
        b"ffffffff" + body,
        b"",
    ):
        with pytest.raises(CommonServiceException):
            read(signed, other)


def test_chunks_are_signed_as_amazon_s_example_has_it() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html"""
    key = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")
    names = (
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
    )
    names += "x-amz-storage-class"
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "authorization": f"{authorization}SignedHeaders={names},Signature={seed}",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "content-length": "66824",
    }
    request = Request("PUT", "/examplebucket/chunkObject.txt", "", list(headers.items()))
    found = Verifier({key.id: key}, "s3", "us-east-1", timedelta(minutes=15)).read(
        request, datetime(2013, 5, 24, tzinfo=UTC)
    )
    found.verify("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    first = found.chunk_signature(seed, b"a" * 65536)
    assert first == "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
    second = found.chunk_signature(first, b"a" * 1024)
    assert second == "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
    last = found.chunk_signature(second, b"")
    assert last == "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"


# ---------------------------------------------------------------- answers and keys


def test_every_refusal_has_an_answer() -> None:
    details = dict.fromkeys(("parts", "key", "names", "found", "expected", "expires"), "<&>")
    times = dict.fromkeys(("signed", "limit", "now", "ends"), "20260101T000000Z")
    for why in Why:
        for where in ("header", "query"):
            for field in ("date", "region", "service", "terminator"):
                error = denied(RefusedError(why, **details, **times, where=where, field=field))
                status, body, headers = answer(error, "GET")
                assert status in (400, 403)
                assert f"<Code>{error.code}</Code>".encode() in body
                assert headers["Content-Type"] == "application/xml"
                assert b"<&>" not in body
                assert answer(error, "HEAD")[1] == b""


def test_keys_come_from_a_credentials_file(tmp_path: Any) -> None:
    file = tmp_path / "keys"
    file.write_text("[a]\naws_access_key_id = A1\naws_secret_access_key = x%y\n[b]\naws_access_key_id=B\n")
    with pytest.raises(KeysError):
        read_keys(file)
    file.write_text("[a]\naws_access_key_id = A1\naws_secret_access_key = x%y\n")
    assert read_keys(file) == {"A1": Key("A1", "x%y", "a")}
    file.write_text("")
    with pytest.raises(KeysError, match="holds no keys"):
        read_keys(file)
    with pytest.raises(KeysError):
        read_keys(tmp_path / "none")
