"""Everything that can be read from S3, in a form that can be compared."""

import hashlib
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

#: Reads of a bucket's configuration.
BUCKET_READS = (
    "get_bucket_accelerate_configuration",
    "get_bucket_acl",
    "get_bucket_cors",
    "get_bucket_encryption",
    "get_bucket_lifecycle_configuration",
    "get_bucket_location",
    "get_bucket_logging",
    "get_bucket_notification_configuration",
    "get_bucket_ownership_controls",
    "get_bucket_policy",
    "get_bucket_replication",
    "get_bucket_request_payment",
    "get_bucket_tagging",
    "get_bucket_versioning",
    "get_bucket_website",
    "get_object_lock_configuration",
    "get_public_access_block",
    "list_bucket_analytics_configurations",
    "list_bucket_intelligent_tiering_configurations",
    "list_bucket_inventory_configurations",
    "list_bucket_metrics_configurations",
)
#: Reads of an object's attributes besides its bytes.
OBJECT_READS = ("get_object_tagging", "get_object_acl", "get_object_retention", "get_object_legal_hold")
#: Headers that belong to the answer and not to what is stored.
PASSING = {"date", "server", "connection", "x-amz-request-id", "x-amz-id-2", "transfer-encoding"}


def ask(client: Any, operation: str, **arguments: Any) -> Any:
    """The answer, without what differs each time; or the error's code."""
    try:
        answer = getattr(client, operation)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    if "Body" in answer:
        answer["Body"] = hashlib.sha256(answer["Body"].read()).hexdigest()
    about = answer.pop("ResponseMetadata")
    if operation == "get_object":
        headers = about["HTTPHeaders"]
        answer["Headers"] = {name: value for name, value in headers.items() if name not in PASSING}
    return answer


def read_object(client: Any, bucket: str, key: str, version: str | None = None) -> dict[str, Any]:
    """Bytes (as a digest), headers, checksum, tags, ACL, lock and parts of one version, or of the current one."""
    name = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
    found = {operation: ask(client, operation, **name) for operation in OBJECT_READS}
    found["get_object"] = ask(client, "get_object", **name, ChecksumMode="ENABLED")
    found["get_object_attributes"] = ask(
        client,
        "get_object_attributes",
        **name,
        ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"],
    )
    return found


def pages(client: Any, operation: str, field: Iterable[str], **arguments: Any) -> list[Any]:
    """The entries of all pages of a listing. Raises AssertionError, naming it, for one that is listed twice."""
    found: dict[tuple[Any, ...], Any] = {}
    for page in client.get_paginator(operation).paginate(**arguments):
        for name in field:
            for entry in page.get(name, []):
                one = (name, *(entry.get(part) for part in ("Key", "VersionId", "UploadId", "PartNumber")))
                assert one not in found, f"{operation} of {arguments} lists twice: {entry}"
                found[one] = (name, entry)
    return list(found.values())


def read_bucket(client: Any, bucket: str) -> dict[str, Any]:
    """The bucket's configuration, listings, every version of every object, and every upload with its parts."""
    found: dict[str, Any] = {read: ask(client, read, Bucket=bucket) for read in BUCKET_READS}
    versions = pages(client, "list_object_versions", ("Versions", "DeleteMarkers"), Bucket=bucket)
    found["versions"] = versions
    found["listing"] = pages(client, "list_objects_v2", ("Contents",), Bucket=bucket)
    found["pages of 3"] = pages(
        client,
        "list_object_versions",
        ("Versions", "DeleteMarkers"),
        Bucket=bucket,
        PaginationConfig={"PageSize": 3},
    )
    found["prefixes"] = ask(client, "list_objects_v2", Bucket=bucket, Delimiter="/")
    for kind, entry in versions:
        key, version = entry["Key"], entry["VersionId"]
        if kind == "Versions":
            found[f"{key}?{version}"] = read_object(client, bucket, key, version)
        found[key] = read_object(client, bucket, key)
    for _, upload in pages(client, "list_multipart_uploads", ("Uploads",), Bucket=bucket):
        name = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        found[f"upload {upload['UploadId']}"] = upload | {
            "parts": pages(client, "list_parts", ("Parts",), **name)
        }
    return found


def read_all(client: Any, bucket: str = "") -> dict[str, Any]:
    """Everything in the client's account; with `bucket`, the names of all buckets, and the contents of that bucket and
    of those whose names begin with `bucket-`.
    """
    buckets = client.list_buckets()["Buckets"]
    names = (found["Name"] for found in buckets)
    wanted = (name for name in names if not bucket or name == bucket or name.startswith(f"{bucket}-"))
    return {"buckets": buckets} | {name: read_bucket(client, name) for name in wanted}


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """One line for each place where the two differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name in sorted(before.keys() | after.keys(), key=str):
            if name not in before or name not in after:
                what = "appeared" if name in after else "is gone"
                found.append(f"{path}/{name} {what}: {str(after.get(name, before.get(name)))[:200]}")
            else:
                found += differences(before[name], after[name], f"{path}/{name}")
        return found
    return [] if before == after else [f"{path}: {str(before)[:300]} became {str(after)[:300]}"]
