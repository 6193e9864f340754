"""Every kind of write, then kill -9: everything that can be read is unchanged."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from harness.engine import docker

from .conftest import S3
from .reading import differences, pages, read_all

PART = b"p" * (5 * 1024 * 1024)


def survives(s3: S3, bucket: str) -> dict[str, Any]:
    """Kill, start, and compare the test's own buckets and the names of all buckets. Returns the contents.

    The last test checks the other buckets after all kills, because reading them each time would take minutes.
    """
    before = read_all(s3.client, bucket)
    s3.kill()
    s3.start()
    after = read_all(s3.client, bucket)
    assert differences(before, after) == []
    return after


@pytest.fixture(scope="module")
def left(s3: S3) -> dict[str, Any]:
    """The contents at the beginning, and those that each test left in its buckets."""
    found = read_all(s3.client)
    del found["buckets"]
    return found


@pytest.fixture
def bucket(s3: S3, left: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[str]:
    """A bucket of the test's own."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50]
    s3.client.create_bucket(Bucket=name)
    yield name
    left |= read_all(s3.client, name)
    del left["buckets"]


def test_bucket_configuration(s3: S3, bucket: str) -> None:
    c = s3.client
    day = {
        "Status": "Enabled",
        "Expiration": {"Date": datetime(2030, 1, 1, tzinfo=UTC)},
        "Filter": {"Prefix": "old/"},
    }
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{bucket}/*",
            }
        ],
    }
    queue: dict[str, Any] = {"QueueConfigurations": [], "EventBridgeConfiguration": {}}
    c.create_bucket(Bucket=f"{bucket}-logs")
    c.put_bucket_cors(
        Bucket=bucket,
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedMethods": ["GET", "PUT"],
                    "AllowedOrigins": ["https://a.example"],
                    "MaxAgeSeconds": 9,
                }
            ]
        },
    )
    c.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [rule, day | {"ID": "dated"}]}
    )
    c.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    c.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "größe"}]})
    c.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
            ]
        },
    )
    c.put_bucket_website(
        Bucket=bucket,
        WebsiteConfiguration={"IndexDocument": {"Suffix": "i.html"}, "ErrorDocument": {"Key": "e"}},
    )
    c.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": False})
    c.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    c.put_bucket_acl(Bucket=bucket, ACL="public-read")
    c.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=queue)
    c.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    c.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    c.put_bucket_logging(
        Bucket=bucket,
        BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": f"{bucket}-logs", "TargetPrefix": "l/"}},
    )
    c.put_bucket_analytics_configuration(
        Bucket=bucket, Id="a", AnalyticsConfiguration={"Id": "a", "StorageClassAnalysis": {}}
    )
    c.put_bucket_intelligent_tiering_configuration(
        Bucket=bucket,
        Id="t",
        IntelligentTieringConfiguration={
            "Id": "t",
            "Status": "Enabled",
            "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}],
        },
    )
    c.put_bucket_inventory_configuration(
        Bucket=bucket,
        Id="i",
        InventoryConfiguration={
            "Id": "i",
            "IsEnabled": True,
            "IncludedObjectVersions": "All",
            "Schedule": {"Frequency": "Daily"},
            "Destination": {
                "S3BucketDestination": {"Bucket": f"arn:aws:s3:::{bucket}-logs", "Format": "CSV"}
            },
        },
    )
    c.put_bucket_metrics_configuration(Bucket=bucket, Id="m", MetricsConfiguration={"Id": "m"})
    found = survives(s3, bucket)[bucket]
    unset = [
        name for name, value in found.items() if isinstance(value, str) and name.startswith(("get", "list"))
    ]
    assert set(unset) <= {"get_bucket_replication", "get_object_lock_configuration"}

    for remove in ("cors", "lifecycle", "policy", "tagging", "encryption", "website", "ownership_controls"):
        getattr(c, f"delete_bucket_{remove}")(Bucket=bucket)
    c.delete_public_access_block(Bucket=bucket)
    for kind, name in (
        ("analytics", "a"),
        ("intelligent_tiering", "t"),
        ("inventory", "i"),
        ("metrics", "m"),
    ):
        getattr(c, f"delete_bucket_{kind}_configuration")(Bucket=bucket, Id=name)
    found = survives(s3, bucket)[bucket]
    assert found["get_bucket_cors"] == "NoSuchCORSConfiguration"


def test_replication_and_object_lock(s3: S3, bucket: str) -> None:
    c = s3.client
    locked = f"{bucket}-locked"
    c.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    c.put_object_lock_configuration(
        Bucket=locked,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    c.put_object(Bucket=locked, Key="default", Body=b"1")
    until = datetime.now(UTC) + timedelta(days=2)
    c.put_object(
        Bucket=locked, Key="own", Body=b"2", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )
    c.put_object(Bucket=locked, Key="held", Body=b"3")
    c.put_object_legal_hold(Bucket=locked, Key="held", LegalHold={"Status": "ON"})
    c.put_object_retention(
        Bucket=locked,
        Key="held",
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
        BypassGovernanceRetention=True,
    )
    for name in (bucket, f"{bucket}-to"):
        c.create_bucket(Bucket=name)
        c.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    c.put_bucket_replication(
        Bucket=bucket,
        ReplicationConfiguration={
            "Role": "arn:aws:iam::000000000000:role/r",
            "Rules": [
                {"Status": "Enabled", "Prefix": "", "Destination": {"Bucket": f"arn:aws:s3:::{bucket}-to"}}
            ],
        },
    )
    survives(s3, bucket)
    version = c.head_object(Bucket=locked, Key="held")["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        c.delete_object(Bucket=locked, Key="held", VersionId=version)


#: Of 70,000 times "x" and of nothing; boto3 alone cannot compute them.
GIVEN = {"CRC32C": ("VKQrOg==", "AAAAAA=="), "CRC64NVME": ("k3+OMkVJQ3M=", "AAAAAAAAAAA=")}


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_objects_with_everything(s3: S3, bucket: str, algorithm: str) -> None:
    c = s3.client
    full, none = (
        {f"Checksum{algorithm}": value} if algorithm in GIVEN else {"ChecksumAlgorithm": algorithm}
        for value in GIVEN.get(algorithm, ("", ""))
    )
    c.put_object(
        Bucket=bucket,
        Key="ünï/cödé key ✓ +&%",
        Body=b"x" * 70_000,
        Metadata={"name": "value", "other": "two words"},
        Tagging="a=1&b=zwei%20w%C3%B6rter",
        ContentType="text/markdown",
        ContentLanguage="de",
        ContentEncoding="identity",
        ContentDisposition="attachment",
        CacheControl="no-store",
        Expires=datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC),
        StorageClass="STANDARD_IA",
        WebsiteRedirectLocation="/there",
        ACL="public-read",
        **full,
    )
    c.put_object(Bucket=bucket, Key="empty", Body=b"", **none)
    c.put_object(
        Bucket=bucket,
        Key="kms",
        Body=b"k",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=f"arn:aws:kms:us-east-1:000000000000:key/{'1' * 8}",
    )
    c.put_object(
        Bucket=bucket, Key="sse-c", Body=b"c", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32
    )
    c.put_object(Bucket=bucket, Key="cold", Body=b"ice", StorageClass="GLACIER")
    c.restore_object(Bucket=bucket, Key="cold", RestoreRequest={"Days": 2})
    c.put_object_acl(Bucket=bucket, Key="empty", ACL="authenticated-read")
    # In parts, with a sum over the sums of the parts or, as CRC64NVME only can, over all bytes.
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = c.create_multipart_upload(**upload, ChecksumAlgorithm=algorithm)["UploadId"]
    part = c.upload_part(**upload, PartNumber=1, Body=b"x" * 70_000, **full)
    told = {name: part[name] for name in ("ETag", f"Checksum{algorithm}")}
    c.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, **told}]})
    found = survives(s3, bucket)[bucket]
    assert found["parts"]["get_object"][f"Checksum{algorithm}"].startswith(
        part[f"Checksum{algorithm}"][:4]
    ) == (algorithm == "CRC64NVME")
    assert found["kms"]["get_object"]["ServerSideEncryption"] == "aws:kms"
    assert found["cold"]["get_object"]["StorageClass"] == "GLACIER"
    assert "ongoing-request" in found["cold"]["get_object"]["Restore"]
    # It cannot be read without its key, so the comparison above did not include it.
    read = c.get_object(Bucket=bucket, Key="sse-c", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    assert read["Body"].read() == b"c"
    assert found["sse-c"]["get_object"] == "InvalidRequest"


def test_overwrites_copies_and_deletes(s3: S3, bucket: str) -> None:
    c = s3.client
    for number in range(12):
        c.put_object(
            Bucket=bucket, Key=f"o{number}", Body=bytes([number]) * 1000, Metadata={"n": str(number)}
        )
    c.put_object(Bucket=bucket, Key="o0", Body=b"again")
    c.put_object(Bucket=bucket, Key="o1", Body=b"", Tagging="t=1")
    c.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "o1"})
    c.copy_object(
        Bucket=bucket,
        Key="o2",
        CopySource={"Bucket": bucket, "Key": "o2"},
        Metadata={"in": "place"},
        MetadataDirective="REPLACE",
    )
    c.copy_object(
        Bucket=bucket,
        Key="o3",
        CopySource={"Bucket": bucket, "Key": "o2"},
        Tagging="x=y",
        TaggingDirective="REPLACE",
        ChecksumAlgorithm="SHA256",
    )
    c.put_object_tagging(Bucket=bucket, Key="o4", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    c.put_object_tagging(Bucket=bucket, Key="o5", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    c.delete_object_tagging(Bucket=bucket, Key="o5")
    c.delete_object(Bucket=bucket, Key="o6")
    c.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"o{n}"} for n in (7, 8, 99)]})
    with pytest.raises(ClientError, match="PreconditionFailed"):
        c.put_object(Bucket=bucket, Key="o9", Body=b"no", IfNoneMatch="*")
    with pytest.raises(ClientError, match=r"BadDigest|InvalidRequest"):
        c.put_object(Bucket=bucket, Key="o9", Body=b"no", ChecksumSHA256=hash_of(b"other"))
    found = survives(s3, bucket)[bucket]
    names = [entry["Key"] for _, entry in found["listing"]]
    assert names == ["copy", "o0", "o1", "o10", "o11", "o2", "o3", "o4", "o5", "o9"]
    c.put_object(Bucket=bucket, Key="o9", Body=b"after", IfMatch=found["o9"]["get_object"]["ETag"])
    survives(s3, bucket)


def hash_of(data: bytes) -> str:
    """SHA-256 as S3 writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_browser_form(s3: S3, bucket: str) -> None:
    form = s3.client.generate_presigned_post(
        bucket, "form/${filename}", Fields={"tagging": ""}, Conditions=[["starts-with", "$tagging", ""]]
    )
    form["fields"].pop("tagging")
    answer = httpx.post(form["url"], data=form["fields"], files={"file": ("f.txt", b"from a form")})
    assert answer.status_code == 204, answer.text
    url = s3.client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "presigned"})
    assert httpx.put(url, content=b"by link").status_code == 200
    found = survives(s3, bucket)[bucket]
    assert [entry["Key"] for _, entry in found["listing"]] == ["form/f.txt", "presigned"]


def test_versions_and_delete_markers(s3: S3, bucket: str) -> None:
    c = s3.client
    c.put_object(Bucket=bucket, Key="k", Body=b"before versions", Tagging="v=0")
    c.put_object(Bucket=bucket, Key="only before", Body=b"1")
    c.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [
        c.put_object(Bucket=bucket, Key="k", Body=f"v{n}".encode(), Tagging=f"v={n}")["VersionId"]
        for n in range(4)
    ]
    c.delete_object(Bucket=bucket, Key="k", VersionId=ids[1])
    c.put_object_tagging(
        Bucket=bucket, Key="k", VersionId=ids[0], Tagging={"TagSet": [{"Key": "old", "Value": "1"}]}
    )
    c.put_object(Bucket=bucket, Key="gone", Body=b"g")
    marker = c.delete_object(Bucket=bucket, Key="gone")["VersionId"]
    c.put_object(Bucket=bucket, Key="back", Body=b"b")
    c.delete_object(
        Bucket=bucket, Key="back", VersionId=c.delete_object(Bucket=bucket, Key="back")["VersionId"]
    )
    c.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource={"Bucket": bucket, "Key": "k", "VersionId": ids[0]},
        Metadata={"copied": "yes"},
        MetadataDirective="REPLACE",
    )
    found = survives(s3, bucket)[bucket]
    assert found["gone"]["get_object"] == "NoSuchKey"
    assert found["back"]["get_object"]["ContentLength"] == 1

    c.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    c.put_object(Bucket=bucket, Key="k", Body=b"null again")
    c.delete_object(Bucket=bucket, Key="only before")
    found = survives(s3, bucket)[bucket]
    assert found["k"]["get_object"]["VersionId"] == "null"
    assert [entry["VersionId"] for _, entry in found["versions"] if entry["Key"] == "gone"] != []
    c.delete_object(Bucket=bucket, Key="gone", VersionId=marker)
    c.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": ids[3]}, {"Key": "k"}]})
    survives(s3, bucket)
    assert c.get_object(Bucket=bucket, Key="gone")["Body"].read() == b"g"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_of_versions_name_each_once(s3: S3, bucket: str, size: int) -> None:
    """Tests versions whose order by date, as LocalStack lists them, differs from the order of their ids: parts, and the
    version null.
    """
    c = s3.client
    for key in ("a", "b"):
        c.put_object(Bucket=bucket, Key=key, Body=b"null")
    c.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    known = {(key, "null") for key in ("a", "b")}
    for key in ("a", "b"):
        begun = {"Bucket": bucket, "Key": key}
        begun["UploadId"] = c.create_multipart_upload(**begun)["UploadId"]
        known |= {(key, c.put_object(Bucket=bucket, Key=key, Body=b"1")["VersionId"]) for _ in range(3)}
        part = c.upload_part(**begun, PartNumber=1, Body=b"2")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        known.add((key, c.complete_multipart_upload(**begun, MultipartUpload=parts)["VersionId"]))
    fields = ("Versions", "DeleteMarkers")
    for _ in range(2):
        listed = pages(c, "list_object_versions", fields, Bucket=bucket, PaginationConfig={"PageSize": size})
        assert {(entry["Key"], entry["VersionId"]) for _, entry in listed} == known
        c.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        c.put_object(
            Bucket=bucket, Key="a", Body=b"null again"
        )  # the newest now, and not the one listed last


def test_multipart_uploads(s3: S3, bucket: str) -> None:
    c = s3.client

    def begin(key: str, **more: Any) -> dict[str, Any]:
        upload = c.create_multipart_upload(Bucket=bucket, Key=key, **more)
        return {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}

    c.put_object(Bucket=bucket, Key="source", Body=b"s" * 6_000_000)
    left = begin(
        "left", Metadata={"m": "1"}, Tagging="t=1", ContentType="text/plain", StorageClass="STANDARD_IA"
    )
    etags = [c.upload_part(**left, PartNumber=n, Body=PART)["ETag"] for n in (1, 3)]
    etags[0] = c.upload_part(**left, PartNumber=1, Body=PART[::-1] + b"1")["ETag"]
    etags += [
        c.upload_part_copy(
            **left,
            PartNumber=7,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange="bytes=10-5300000",
        )["CopyPartResult"]["ETag"]
    ]
    dropped = begin("dropped")
    c.upload_part(**dropped, PartNumber=1, Body=b"x")
    c.abort_multipart_upload(**dropped)
    summed = begin("summed", ChecksumAlgorithm="SHA256")
    part = c.upload_part(**summed, PartNumber=1, Body=PART, ChecksumAlgorithm="SHA256")
    untouched = begin("untouched")
    found = survives(s3, bucket)[bucket]
    assert f"upload {untouched['UploadId']}" in found
    assert f"upload {dropped['UploadId']}" not in found

    parts = [{"PartNumber": n, "ETag": etag} for n, etag in zip((1, 3, 7), etags, strict=True)]
    c.complete_multipart_upload(**left, MultipartUpload={"Parts": parts})
    c.complete_multipart_upload(
        **summed,
        MultipartUpload={
            "Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]
        },
    )
    assert c.get_object(Bucket=bucket, Key="left")["Body"].read() == PART + b"1" + PART + b"s" * 5_299_991
    found = survives(s3, bucket)[bucket]
    assert found["left"]["get_object"]["Metadata"] == {"m": "1"}
    assert found["left"]["get_object_tagging"]["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert c.get_object(Bucket=bucket, Key="left", PartNumber=3)["ContentLength"] == len(PART)


def test_buckets_come_and_go(s3: S3, bucket: str) -> None:
    c = s3.client
    c.create_bucket(Bucket=f"{bucket}-eu", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    other = s3.new_client("111111111111")
    other.create_bucket(Bucket=f"{bucket}-theirs")
    other.put_object(Bucket=f"{bucket}-theirs", Key="k", Body=b"theirs")
    for name in ("gone", "again"):
        c.create_bucket(Bucket=f"{bucket}-{name}")
        c.create_multipart_upload(Bucket=f"{bucket}-{name}", Key="never finished")
        c.put_bucket_tagging(Bucket=f"{bucket}-{name}", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        c.delete_bucket(Bucket=f"{bucket}-{name}")
    c.create_bucket(Bucket=f"{bucket}-again")
    theirs = read_all(other)
    found = survives(s3, bucket)
    assert differences(theirs, read_all(other)) == []
    assert f"{bucket}-gone" not in found
    assert found[f"{bucket}-again"]["get_bucket_tagging"] == "NoSuchTagSet"
    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        c.create_bucket(Bucket=f"{bucket}-theirs")


def test_stop_and_start_keeps_everything_and_the_hooks_change_nothing(
    s3: S3, docker_stop: Callable[[], float], left: dict[str, Any]
) -> None:
    before = read_all(s3.client)
    # What every earlier test left is unchanged, despite all the kills since then.
    assert differences(left, {name: before.get(name) for name in left}) == []
    s3.client.put_object(Bucket="documents", Key="letter.txt", Body=b"edited by a person")
    before |= read_all(s3.client, "documents")
    assert docker_stop() < 3
    s3.start()
    assert differences(before, read_all(s3.client)) == []
    assert s3.client.get_object(Bucket="documents", Key="letter.txt")["Body"].read() == b"edited by a person"


@pytest.fixture
def docker_stop(s3: S3) -> Callable[[], float]:
    """Stops the container as `docker stop` does; the seconds it took."""

    def stop() -> float:
        begun = time.monotonic()
        docker("stop", "--time", "10", s3.container)
        return time.monotonic() - begun

    return stop
