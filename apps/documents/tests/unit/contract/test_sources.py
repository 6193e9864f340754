"""Where a document may be: never in the stack's own buckets, however they are spelt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import NotASourceError, Sources, split_s3

LOCAL = Sources.of({"AWS_ENDPOINT_URL_S3": "http://localstack:4566"})

#: Spellings of the stack's own buckets, and of names that S3 has none of.
REFUSED = [
    "s3://work/job/text.txt", "s3://results/job/result.json", "S3://work/x", "s3://WORK/x", "s3://Work/x",
    "s3://w%6frk/x", "s3://%77ork/x", "s3://work./x", "s3://.work/x", "s3://work%2f/x", "s3://work%00/x",
    "s3://work:80/x", "s3://a@work/x", "s3://documents@work/x", "s3://documents\\work/x", "s3://work\\x/y",
    "s3://work?/x", "s3://work#/x", "s3://documents?/work/x", "s3:///work/x", "s3://\uff57\uff4f\uff52\uff4b/x",
    "s3://wor\u212a/x", "s3://work /x",
    # Dots in a key, which some piece on the way may take for a path's.
    "s3://documents/../work/x", "s3://documents/a/../../work/x", "s3://documents/%2e%2e/work/x",
    "s3://documents/%2E./work/x", "s3://documents/./x", "s3://documents/..", "s3://documents/a/%2e%2e",
    "s3://documents/..%2fwork%2fx",
    # ARNs, access points and their aliases, which do not name the bucket they stand for.
    "s3://arn:aws:s3:::work/x", "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/mine/x",
    "s3://arn%3Aaws%3As3%3A%3A%3Awork/x", "s3://mine-abcdefghijklmnop-s3alias/x", "s3://mine--ol-s3/x",
    "s3://mfzwi23gnjvgw.mrap/x", "s3://work--use1-az4--x-s3/x", "s3://xn--work/x", "s3://sthree-work/x",
    # By https, unsigned; in AWS it would meet a 403.
    "https://s3.amazonaws.com/work/x", "https://s3.us-east-1.amazonaws.com/work/x",
    "https://S3.US-EAST-1.AMAZONAWS.COM/work/x", "https://s3.us-east-1.amazonaws.com./work/x",
    "https://s3-us-west-2.amazonaws.com/work/x", "https://s3.dualstack.us-east-1.amazonaws.com/results/x",
    "https://s3.us-east-1.amazonaws.com/%77ork/x", "https://s3.us-east-1.amazonaws.com//work/x",
    "https://s3.us-east-1.amazonaws.com/documents/../work/x", "https://s3.us-east-1.amazonaws.com/a/%2e%2e/work/x",
    "https://work.s3.amazonaws.com/x", "https://Work.s3.us-east-1.amazonaws.com/x",
    "https://work.s3-us-west-2.amazonaws.com/x", "https://work.s3.dualstack.eu-west-1.amazonaws.com/x",
    "https://work.s3-accelerate.amazonaws.com/x", "https://work.s3.cn-north-1.amazonaws.com.cn/x",
    "https://localstack:4566/work/x", "https://LOCALSTACK/work/x", "https://localstack./work/x",
    "https://work.localstack:4566/x",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_the_stack_s_own_buckets_are_no_source(url: str) -> None:
    with pytest.raises(NotASourceError, match=r"^must "):
        LOCAL.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://my-bucket/contract.pdf", "s3://documents/contract.pdf", "s3://documents/work/x", "s3://work2/x",
        "s3://my.work/x", "s3://documents/a%20b.pdf", "s3://documents/a?b#c.pdf", "s3://documents/a\\b",
        "s3://documents/a%5Cb", "s3://documents//a", "s3://documents/%C3%BC.pdf", "s3://documents/...", "s3://documents/a..b",
        "S3://documents/x", "https://example.com/work/x", "https://work.example.com/x", "https://s3.example.com/work/x",
        "https://s3.us-east-1.amazonaws.com/other/work/x", "https://other.s3.us-east-1.amazonaws.com/work/x",
        "https://localstack:4566/documents/x", "https://amazonaws.com/work/x", "https://example.com/",
    ],
)  # fmt: skip
def test_everything_else_is(url: str) -> None:
    LOCAL.check(url)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "-ab", "ab-", "a..b", "a_b", "192.168.5.4", "a b", "a\nb", "", "a/b".replace("/", "\\")],
)
def test_a_name_that_no_bucket_has_is_refused(name: str) -> None:
    with pytest.raises(NotASourceError, match="must name a bucket"):
        split_s3(f"s3://{name}/key")


@pytest.mark.parametrize("key", ["", "/", "%2F", "%00", "a%0Ab", "%FF", "%C3", "a" * 1025, "%C3%BC" * 513])
def test_a_name_that_no_object_has_is_refused(key: str) -> None:
    with pytest.raises(NotASourceError, match=r"the object|an object"):
        split_s3(f"s3://documents/{key}")


def test_a_key_is_what_was_encoded() -> None:
    assert split_s3("s3://my.bucket-1/a%20b/c+d?e#f%25") == ("my.bucket-1", "a b/c+d?e#f%")


def test_buckets_can_be_named_one_by_one() -> None:
    sources = Sources.of({"SOURCE_BUCKETS": " contracts, work,", "DOCUMENTS_BUCKET": "incoming"})
    for bucket in ("contracts", "incoming"):
        sources.check(f"s3://{bucket}/x")
    for bucket in ("other", "documents"):
        with pytest.raises(NotASourceError, match="contracts, incoming, work"):
            sources.check(f"s3://{bucket}/x")
    # AND the stack's own are none of them, whoever names them
    for bucket in ("work", "results"):
        with pytest.raises(NotASourceError, match="other jobs' texts"):
            sources.check(f"s3://{bucket}/x")


def test_the_stack_s_own_are_named_by_the_same_variables() -> None:
    sources = Sources.of({"WORK_BUCKET": "team-work", "RESULTS_BUCKET": ""})
    for bucket in ("team-work", "results"):
        with pytest.raises(NotASourceError):
            sources.check(f"s3://{bucket}/x")
    sources.check("s3://work/x")
    assert Sources.of({}) == Sources()


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_passes_names_a_bucket_that_is_not_the_stack_s(bucket: str, key: str) -> None:
    try:
        LOCAL.check(f"s3://{bucket}/{key}")
    except NotASourceError:
        return
    found, name = split_s3(f"s3://{bucket}/{key}")
    assert found == bucket.partition("/")[0] == found.lower()
    assert found not in ("work", "results")
    assert not {".", ".."} & set(name.split("/"))
