"""Values that look like the ledger's own marks, in every field that a client can fill, survive kill -9."""

import json
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from harness.damage import flip_a_bit, unhealthy
from harness.engine import docker
from harness.waiting import wait_for

from .conftest import S3
from .reading import BUCKET_READS, ask, differences, read_object
from .test_volume import logs

#: The ledger's own marks for dates and attributes, and texts that could be mistaken for them.
ODD = ("$date", "$$date", "$tags", "$deleted", '{"$date":"soon"}', "2026-01-01T00:00:00", "null", "ü$date")
ARN = "arn:aws:sqs:us-east-1:000000000000:nobody"


def fill_bucket(client: Any, name: str, odd: str) -> None:
    """Every configuration of a bucket that takes text, as far as S3 takes this text there."""
    client.create_bucket(Bucket=name)
    token = {"Key": odd.replace("{", "").replace("}", "").replace('"', ""), "Value": "soon"}
    settings: list[tuple[str, dict[str, Any]]] = [
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
        ("put_bucket_tagging", {"Tagging": {"TagSet": [token]}}),
        (
            "put_bucket_cors",
            {
                "CORSConfiguration": {
                    "CORSRules": [
                        {
                            "ID": odd,
                            "AllowedMethods": ["GET"],
                            "AllowedOrigins": [odd],
                            "AllowedHeaders": [odd],
                            "ExposeHeaders": [odd],
                        }
                    ]
                }
            },
        ),
        (
            "put_bucket_lifecycle_configuration",
            {
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "ID": odd,
                            "Status": "Enabled",
                            "Filter": {"And": {"Prefix": odd, "Tags": [token]}},
                            "Expiration": {"Date": "2040-01-01T00:00:00Z"},
                        }
                    ]
                }
            },
        ),
        (
            "put_bucket_website",
            {
                "WebsiteConfiguration": {
                    "IndexDocument": {"Suffix": odd},
                    "ErrorDocument": {"Key": odd},
                    "RoutingRules": [
                        {"Condition": {"KeyPrefixEquals": odd}, "Redirect": {"ReplaceKeyPrefixWith": odd}}
                    ],
                }
            },
        ),
        (
            "put_bucket_policy",
            {
                "Policy": json.dumps(
                    {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Sid": odd,
                                "Effect": "Allow",
                                "Principal": "*",
                                "Action": "s3:GetObject",
                                "Resource": f"arn:aws:s3:::{name}/{odd}",
                                "Condition": {"StringEquals": {"$date": "soon"}},
                            }
                        ],
                    }
                )
            },
        ),
        (
            "put_bucket_notification_configuration",
            {
                "NotificationConfiguration": {
                    "QueueConfigurations": [
                        {
                            "Id": odd,
                            "QueueArn": ARN,
                            "Events": ["s3:ObjectCreated:*"],
                            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": odd}]}},
                        }
                    ]
                },
                "SkipDestinationValidation": True,
            },
        ),
        (
            "put_bucket_analytics_configuration",
            {
                "Id": odd,
                "AnalyticsConfiguration": {
                    "Id": odd,
                    "Filter": {"Prefix": odd},
                    "StorageClassAnalysis": {},
                },
            },
        ),
        (
            "put_bucket_intelligent_tiering_configuration",
            {
                "Id": odd,
                "IntelligentTieringConfiguration": {
                    "Id": odd,
                    "Status": "Enabled",
                    "Filter": {"Prefix": odd},
                    "Tierings": [{"Days": 125, "AccessTier": "ARCHIVE_ACCESS"}],
                },
            },
        ),
        ("put_bucket_metrics_configuration", {"Id": odd, "MetricsConfiguration": {"Id": odd}}),
        (
            "put_bucket_logging",
            {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": name, "TargetPrefix": odd}}},
        ),
    ]
    assert sum(taken(client, operation, Bucket=name, **more) is not None for operation, more in settings) >= 5


def taken(client: Any, operation: str, **arguments: Any) -> Any:
    """The answer; None where S3's own rules refuse the text in a field."""
    try:
        return getattr(client, operation)(**arguments)
    except ClientError as refused:
        if refused.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise
        return None


def fill_objects(client: Any, bucket: str, odd: str) -> None:
    """Objects, versions and uploads with this text in every field that takes it."""
    plain = odd if odd.isascii() else "$date"
    about: dict[str, Any] = {
        "Metadata": {"$date": plain, "$tags": "soon", "x": plain} if "{" not in odd else {"x": plain},
        "ContentType": f"text/x; a={plain}",
        "ContentDisposition": f"attachment; filename={plain}",
        "ContentLanguage": plain,
        "CacheControl": plain,
        "ContentEncoding": plain,
        "Expires": "2040-01-01T00:00:00Z",
    }
    for number in range(2):
        assert taken(
            client, "put_object", Bucket=bucket, Key=odd, Body=b"%d" % number, Tagging="x=y", **about
        )
    taken(
        client,
        "put_object",
        Bucket=bucket,
        Key=f"{odd}/redirect",
        Body=b"",
        WebsiteRedirectLocation=f"/{plain}",
    )
    client.delete_object(Bucket=bucket, Key=f"{odd}/gone")
    tags = {"TagSet": [{"Key": "$date", "Value": "soon"}]}
    taken(client, "put_object_tagging", Bucket=bucket, Key=odd, Tagging=tags)
    source = {"Bucket": bucket, "Key": odd}
    taken(
        client, "copy_object", Bucket=bucket, Key=f"{odd}/copy", CopySource=source, MetadataDirective="COPY"
    )
    upload = {"Bucket": bucket, "Key": f"{odd}/upload"}
    begun = client.create_multipart_upload(**upload, **about)
    client.upload_part(**upload, UploadId=begun["UploadId"], PartNumber=1, Body=b"part")


def seen(client: Any, bucket: str) -> dict[str, Any]:
    """All that can be read of the bucket. Its listing in one page: LocalStack's paging fails on keys that are encoded
    in a URL.
    """
    found: dict[str, Any] = {read: ask(client, read, Bucket=bucket) for read in BUCKET_READS}
    listed = found["versions"] = ask(client, "list_object_versions", Bucket=bucket)
    for version in listed["Versions"]:
        name = version["Key"], version["VersionId"]
        found["?".join(name)] = read_object(client, bucket, *name)
    uploads = found["uploads"] = ask(client, "list_multipart_uploads", Bucket=bucket)
    for upload in uploads["Uploads"]:
        one = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
        found[upload["UploadId"]] = ask(client, "list_parts", Bucket=bucket, **one)
    return found


def test_odd_values_come_back_after_a_kill(s3: S3) -> None:
    # This value once kept S3 from starting again.
    s3.client.create_bucket(Bucket="seen")
    s3.client.put_object(Bucket="seen", Key="k", Body=b"x", Metadata={"$date": "soon"})
    for number, odd in enumerate(ODD):
        fill_bucket(s3.client, f"odd-{number}", odd)
        fill_objects(s3.client, f"odd-{number}", odd)
    names = [f"odd-{number}" for number in range(len(ODD))]
    before = {name: seen(s3.client, name) for name in names}
    s3.kill()
    s3.start()
    assert s3.client.head_object(Bucket="seen", Key="k")["Metadata"] == {"$date": "soon"}
    assert differences(before, {name: seen(s3.client, name) for name in names}) == []


def test_one_bit_in_the_ledgers_log(s3: S3) -> None:
    """The last test of the module, because S3 serves nothing after it."""
    s3.client.create_bucket(Bucket="acknowledged")
    for number in range(10):
        s3.client.put_object(Bucket="acknowledged", Key=f"k{number}", Body=b"secret" * 100)
    s3.kill()
    flip_a_bit(s3.container, "/data/ledger.sqlite-wal")
    docker("start", s3.container)
    wait_for(
        lambda: httpx.get(f"{s3.url}/_localstack/health", timeout=2).status_code == 200, "LocalStack to run"
    )
    wait_for(lambda: "ledger.sqlite is damaged" in logs(s3.container), "the damage to be named")
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            s3.client.get_object(Bucket="acknowledged", Key="k1")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        assert "secret" not in str(refused.value)
    assert unhealthy(s3.container)
    assert "make restore F=" in logs(s3.container)
