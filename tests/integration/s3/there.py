"""Reads the writers' items from S3, and checks whether they match what the writers know."""

import base64
import contextlib
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

from .reading import ask, pages
from .settings import SETTINGS

md5 = functools.partial(hashlib.md5, usedforsecurity=False)
#: MD5 of all bytes ever put, by their SHA-256.
SUMS: dict[str, str] = {}
#: Bytes that were put, by their SHA-256, as far as they are few: what parts are copied from.
BODIES: dict[str, bytes] = {}
ANY = "any"  # a version id that no client was told
Item = tuple[str, ...]
ABSENT: dict[str, Any] = {}


def described(body: bytes | None, metadata: dict[str, str], tags: dict[str, str]) -> dict[str, Any]:
    """What a version must read as."""
    found: dict[str, Any] = {"metadata": metadata, "tags": tags, "grants": 1}
    if body is not None:
        found |= {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        found["md5"] = SUMS[found["sha256"]] = md5(body).hexdigest()
        if 0 < len(body) < 100_000:
            BODIES[found["sha256"]] = body
    return found


def found(client: Any, item: Item) -> Any:
    """The item, as it is read from S3."""
    find: dict[str, Callable[..., Any]] = {
        "object": find_object,
        "upload": find_upload,
        "bucket": find_bucket,
        "locked": find_locked,
    }
    return find[item[0]](client, *item[1:])


def find_object(client: Any, bucket: str, key: str) -> list[dict[str, Any]]:
    """The versions of the key, oldest first."""
    listed = pages(client, "list_object_versions", ("Versions", "DeleteMarkers"), Bucket=bucket, Prefix=key)
    listed = [entry for entry in listed if entry[1]["Key"] == key]
    latest = [entry for _, entry in listed if entry["IsLatest"]]
    assert len(latest) == (1 if listed else 0), f"{bucket}/{key}: {len(latest)} versions are the latest one"
    versions = []
    for kind, entry in listed:
        # An id begins with a number that grows; dates are told to the second only.
        order = (entry["IsLatest"], base64.b64decode(entry["VersionId"] + "==", altchars=b"._"))
        name = {"Bucket": bucket, "Key": key, "VersionId": entry["VersionId"]}
        if kind == "DeleteMarkers":
            versions.append((order, {"marker": True, "id": entry["VersionId"]}))
            continue
        got = client.get_object(**name, ChecksumMode="ENABLED")
        body = got["Body"].read()
        assert got["ContentType"] == "text/x-test"
        assert got["ContentLength"] == entry["Size"] == len(body)
        assert got["ETag"] == entry["ETag"]
        if "ChecksumSHA256" in got and "-" not in got["ChecksumSHA256"]:
            assert base64.b64decode(got["ChecksumSHA256"]) == hashlib.sha256(body).digest()
        version = described(body, got["Metadata"], {}) | {
            "md5": got["ETag"].strip('"'),
            "id": entry["VersionId"],
        }
        tags = client.get_object_tagging(**name)["TagSet"]
        version["tags"] = {tag["Key"]: tag["Value"] for tag in tags}
        version["grants"] = len(client.get_object_acl(**name)["Grants"])
        versions.append((order, version))
    return [version for _, version in sorted(versions, key=lambda pair: pair[0])]


def find_upload(client: Any, bucket: str, key: str, upload: str) -> dict[Any, Any]:
    """The parts of the upload; nothing if it is over."""
    parts = ask(client, "list_parts", Bucket=bucket, Key=key, UploadId=upload)
    if parts == "NoSuchUpload":
        return ABSENT
    return {"begun": True} | {
        part["PartNumber"]: {"size": part["Size"], "md5": part["ETag"].strip('"')}
        for part in parts.get("Parts", [])
    }


def find_bucket(client: Any, name: str) -> dict[str, Any]:
    """The bucket's configuration, as far as writers set it."""
    if ask(client, "head_bucket", Bucket=name) == "404":
        return ABSENT
    there: dict[str, Any] = {"exists": True}
    if isinstance(cors := ask(client, "get_bucket_cors", Bucket=name), dict):
        there["cors"] = cors["CORSRules"][0]["MaxAgeSeconds"]
    if isinstance(tags := ask(client, "get_bucket_tagging", Bucket=name), dict):
        there["tag"] = tags["TagSet"][0]["Value"]
    if isinstance(policy := ask(client, "get_bucket_policy", Bucket=name), dict):
        there["sid"] = json.loads(policy["Policy"])["Statement"][0]["Sid"]
    for what, setting in SETTINGS.items():
        get = f"get_bucket_{what}" if what != "public_access_block" else "get_public_access_block"
        answer = ask(client, get, Bucket=name)
        with contextlib.suppress(KeyError, TypeError):  # nothing is set
            if (value := setting.read(answer)) in setting.values:
                there[what] = value
    return there


def find_locked(client: Any, key: str) -> dict[str, Any]:
    """The object in the bucket with locks: its bytes, its legal hold and until when it is retained."""
    name = {"Bucket": "locked", "Key": key}
    if (got := ask(client, "get_object", **name)) == "NoSuchKey":
        return ABSENT
    hold, retention = (
        ask(client, read, **name) for read in ("get_object_legal_hold", "get_object_retention")
    )
    return {
        "id": got["VersionId"],
        "sha256": got["Body"],
        "hold": hold["LegalHold"]["Status"] if isinstance(hold, dict) else "OFF",
        "until": retention["Retention"]["RetainUntilDate"].isoformat() if isinstance(retention, dict) else "",
    }


def same(known: Any, there: Any) -> bool:
    """Whether the item that was read matches the known one, except for ids that no client was told."""
    if isinstance(known, list):
        return len(known) == len(there) and all(
            one == other | ({"id": ANY} if one["id"] == ANY else {})
            for one, other in zip(known, there, strict=True)
        )
    if known.get("id") == ANY and there:
        known = known | {"id": there["id"]}
    return bool(known == there)
