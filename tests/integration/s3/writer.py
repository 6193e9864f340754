"""Random writes, and what S3 must hold after each.

A writer works alone on keys and buckets of its own, so it knows what each of its calls leaves behind. What it knows
is kept as items: a key with its versions, an upload with its parts, a bucket with its configuration. A call that was
answered has happened. For the one call that was not answered, either all of its items have changed, or none.
"""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from .settings import SETTINGS
from .there import ABSENT, ANY, BODIES, SUMS, Item, described, md5

MINIMUM = 5 * 1024 * 1024  # of all parts but the last


@dataclass
class Doubt:
    """The call that was under way when the process died: what it would have left behind."""

    operation: str
    items: dict[Item, Any]


@dataclass
class Writer:
    """One client with its own keys `<name>/…` in shared buckets, and its own buckets `own-<name>-…`."""

    name: str
    client: Any
    random: random.Random
    known: dict[Item, Any] = field(default_factory=dict)
    doubt: Doubt | None = None
    acknowledged: int = 0
    touched: set[Item] = field(default_factory=set)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Write until told to stop, or until the process at the other end dies."""
        operations = [getattr(self, name) for name in dir(self) if name.startswith("op_")]
        weights = [operation.__doc__.count("*") for operation in operations]
        while not stopped():
            operation = self.random.choices(operations, weights)[0]
            try:
                operation()
            except (BotoCoreError, HTTPClientError, ConnectionError):
                return
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    raise
                return

    def call(self, operation: str, expected: Callable[[Any], dict[Item, Any]], **arguments: Any) -> Any:
        """Make the call; `expected(answer)` says what it leaves behind, with None for an answer that never came."""
        self.doubt = Doubt(operation, expected(None))
        self.touched |= self.doubt.items.keys()
        answer = getattr(self.client, operation)(**arguments)
        self.known |= expected(answer)
        self.touched |= expected(answer).keys()
        self.doubt = None
        self.acknowledged += 1
        return answer

    # What there is to write to

    def key(self, exists: bool | None = None) -> tuple[str, str, Item]:
        """A bucket, a key in it and its item; with or without an object there if that matters."""
        for _ in range(40):
            bucket = self.random.choice(["plain", "versions"])
            key = f"{self.name}/{self.random.randrange(10)}"
            item = ("object", bucket, key)
            if exists is None or bool(self.current(item)) == exists:
                break
        return bucket, key, item

    def versions(self, item: Item) -> list[dict[str, Any]]:
        """The versions that are there, oldest first."""
        found: list[dict[str, Any]] = self.known.get(item, [])
        return found

    def current(self, item: Item) -> dict[str, Any] | None:
        """The current version, unless it is a delete marker."""
        found = self.versions(item)
        return found[-1] if found and "marker" not in found[-1] else None

    def put_version(self, item: Item, version: dict[str, Any], answer: Any) -> dict[Item, Any]:
        """The item with one more version, or, without versions, with this one alone."""
        if item[1] == "plain":
            return {item: [version | {"id": "null"}]}
        name = answer["VersionId"] if answer else ANY
        return {item: [*self.versions(item), version | {"id": name}]}

    def body(self) -> bytes:
        size = self.random.choice([0, 10, 1000, 30_000, 40_000, 300_000, 2_000_000])
        return self.random.randbytes(self.random.randrange(size + 1))

    def words(self) -> dict[str, str]:
        return {f"k{n}": f"v{self.random.randrange(1000)}" for n in range(self.random.randrange(4))}

    # Writes. The number of stars is how often each is chosen.

    def op_put(self) -> None:
        """******** put_object"""
        bucket, key, item = self.key()
        body, metadata, tags = self.body(), self.words(), self.words()
        version = described(body, metadata, tags)
        algorithm = self.random.choice(["CRC32", "SHA256"])
        self.call(
            "put_object",
            lambda answer: self.put_version(item, version, answer),
            Bucket=bucket,
            Key=key,
            Body=body,
            Metadata=metadata,
            Tagging="&".join(f"{name}={value}" for name, value in tags.items()),
            ContentType="text/x-test",
            ChecksumAlgorithm=algorithm,
        )

    def op_copy(self) -> None:
        """** copy_object, to another key or in place"""
        bucket, key, item = self.key(exists=True)
        if (source := self.current(item)) is None:
            return
        to = self.random.choice([item, self.key()[2]])
        metadata, tags = self.words(), self.words()
        version = described(None, metadata, tags) | {name: source[name] for name in ("sha256", "size")}
        version["md5"] = SUMS[source["sha256"]]  # even of what was put in parts
        self.call(
            "copy_object",
            lambda answer: self.put_version(to, version, answer),
            Bucket=to[1],
            Key=to[2],
            CopySource={"Bucket": bucket, "Key": key},
            Metadata=metadata,
            MetadataDirective="REPLACE",
            ContentType="text/x-test",
            Tagging="&".join(f"{name}={value}" for name, value in tags.items()),
            TaggingDirective="REPLACE",
        )

    def op_delete(self) -> None:
        """*** delete_object, without a version"""
        bucket, key, item = self.key()
        self.call("delete_object", lambda answer: self.deleted(item, answer), Bucket=bucket, Key=key)

    def deleted(self, item: Item, answer: Any) -> dict[Item, Any]:
        if item[1] == "plain":
            return {item: []}
        marker = {"marker": True, "id": answer["VersionId"] if answer else ANY}
        return {item: [*self.versions(item), marker]}

    def op_delete_version(self) -> None:
        """*** delete_object, one version"""
        bucket, key, item = self.key()
        if bucket == "plain" or not (found := self.versions(item)):
            return
        gone = self.random.choice(found)
        left = [version for version in found if version is not gone]
        self.call("delete_object", lambda _: {item: left}, Bucket=bucket, Key=key, VersionId=gone["id"])

    def op_delete_objects(self) -> None:
        """* delete_objects"""
        items = {self.key()[2] for _ in range(4)}
        for bucket in ("plain", "versions"):
            chosen = sorted(item for item in items if item[1] == bucket)
            if not chosen:
                continue

            def left(answer: Any, chosen: list[Item] = chosen) -> dict[Item, Any]:
                told = {entry["Key"]: entry for entry in (answer or {}).get("Deleted", [])}
                after: dict[Item, Any] = {}
                for item in chosen:
                    marker = {"VersionId": told[item[2]].get("DeleteMarkerVersionId")} if answer else None
                    after |= self.deleted(item, marker)
                return after

            names = {"Objects": [{"Key": item[2]} for item in chosen]}
            self.call("delete_objects", left, Bucket=bucket, Delete=names)

    def op_tag(self) -> None:
        """** put_object_tagging and delete_object_tagging"""
        bucket, key, item = self.key(exists=True)
        if (now := self.current(item)) is None:
            return
        tags = self.words()
        after = {item: [*self.versions(item)[:-1], now | {"tags": tags}]}
        if tags:
            tagging = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
            self.call("put_object_tagging", lambda _: after, Bucket=bucket, Key=key, Tagging=tagging)
        else:
            self.call("delete_object_tagging", lambda _: after, Bucket=bucket, Key=key)

    def op_acl(self) -> None:
        """* put_object_acl"""
        bucket, key, item = self.key(exists=True)
        if (now := self.current(item)) is None:
            return
        acl = self.random.choice(["private", "public-read", "authenticated-read"])
        grants = 1 if acl == "private" else 2
        after = {item: [*self.versions(item)[:-1], now | {"grants": grants}]}
        self.call("put_object_acl", lambda _: after, Bucket=bucket, Key=key, ACL=acl)

    def uploads(self) -> list[Item]:
        return [item for item, found in self.known.items() if item[0] == "upload" and found]

    def op_begin_upload(self) -> None:
        """** create_multipart_upload"""
        if len(self.uploads()) > 3:
            return
        bucket, key, _ = self.key()
        self.call(
            "create_multipart_upload",
            # Nothing can be asked about an upload whose id is unknown.
            lambda answer: {("upload", bucket, key, answer["UploadId"]): {"begun": True}} if answer else {},
            Bucket=bucket,
            Key=key,
            Metadata={"by": "parts"},
            ContentType="text/x-test",
        )

    def op_upload_part(self) -> None:
        """**** upload_part"""
        if not (uploads := self.uploads()):
            return
        item = self.random.choice(uploads)
        number = self.random.randrange(1, 4)
        size = MINIMUM if self.random.random() < 0.3 else self.random.randrange(100_000)
        body = self.random.randbytes(size)
        after = {item: self.known[item] | {number: {"size": size, "md5": md5(body).hexdigest()}}}
        self.bodies[item, number] = body
        self.call("upload_part", lambda _: after, **upload_name(item), PartNumber=number, Body=body)

    def op_finish_upload(self) -> None:
        """** complete_multipart_upload and abort_multipart_upload"""
        if not (uploads := self.uploads()):
            return
        item = self.random.choice(uploads)
        known = self.known[item]
        parts = {number: known[number] for number in sorted(known.keys() - {"begun"})}
        fits = parts and all(part["size"] >= MINIMUM for part in list(parts.values())[:-1])
        if not fits or self.random.random() < 0.2:
            self.call("abort_multipart_upload", lambda _: {item: ABSENT}, **upload_name(item))
            return
        whole = b"".join(self.bodies[item, number] for number in parts)
        if any(md5(self.bodies[item, number]).hexdigest() != part["md5"] for number, part in parts.items()):
            return  # a part in doubt turned out not to have been stored: its earlier bytes are no longer known
        target = ("object", item[1], item[2])
        digests = b"".join(bytes.fromhex(part["md5"]) for part in parts.values())
        version = described(whole, {"by": "parts"}, {})
        version["md5"] = f"{md5(digests).hexdigest()}-{len(parts)}"
        listed = [{"PartNumber": number, "ETag": part["md5"]} for number, part in parts.items()]
        self.call(
            "complete_multipart_upload",
            lambda answer: {item: ABSENT} | self.put_version(target, version, answer),
            **upload_name(item),
            MultipartUpload={"Parts": listed},
        )

    @property
    def bodies(self) -> dict[tuple[Item, int], bytes]:
        return self.__dict__.setdefault("_bodies", {})  # type: ignore[no-any-return]

    def op_copy_part(self) -> None:
        """* upload_part_copy"""
        bucket, key, source = self.key(exists=True)
        if not (uploads := self.uploads()) or (now := self.current(source)) is None:
            return
        if (body := BODIES.get(now["sha256"])) is None:
            return
        item, number = self.random.choice(uploads), self.random.randrange(1, 4)
        after = {item: self.known[item] | {number: {"size": len(body), "md5": md5(body).hexdigest()}}}
        self.bodies[item, number] = body
        self.call(
            "upload_part_copy",
            lambda _: after,
            **upload_name(item),
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": key},
        )

    def op_lock(self) -> None:
        """** put_object_legal_hold and put_object_retention, on objects of the bucket with locks"""
        key = f"{self.name}/{self.random.randrange(3)}"
        item: Item = ("locked", key)
        if not (now := self.known.get(item)):
            body = self.body()
            first = {"sha256": hashlib.sha256(body).hexdigest(), "hold": "OFF", "until": ""}
            self.call(
                "put_object",
                lambda answer: (
                    {item: first | {"id": answer["VersionId"]}} if answer else {item: first | {"id": ANY}}
                ),
                Bucket="locked",
                Key=key,
                Body=body,
            )
            return
        name = {"Bucket": "locked", "Key": key, "VersionId": now["id"]}
        if self.random.random() < 0.5:
            hold = self.random.choice(["ON", "OFF"])
            hold_after = {item: now | {"hold": hold}}
            self.call("put_object_legal_hold", lambda _: hold_after, **name, LegalHold={"Status": hold})
            return
        until = f"20{self.random.randrange(40, 90)}-01-01T00:00:00+00:00"
        self.call(
            "put_object_retention",
            lambda _: {item: now | {"until": until}},
            **name,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.fromisoformat(until)},
            BypassGovernanceRetention=True,
        )

    def op_form(self) -> None:
        """** put_object by a browser's form, and by a presigned link"""
        bucket, key, item = self.key()
        body = self.body()
        version = described(body, {}, {})
        if self.random.random() < 0.5:
            url = self.client.generate_presigned_url(
                "put_object", {"Bucket": bucket, "Key": key, "ContentType": "text/x-test"}
            )
            self.send(item, version, "PUT", url, content=body, headers={"Content-Type": "text/x-test"})
            return
        form = self.client.generate_presigned_post(
            bucket, key, Fields={"Content-Type": "text/x-test"}, Conditions=[{"Content-Type": "text/x-test"}]
        )
        self.send(item, version, "POST", form["url"], data=form["fields"], files={"file": ("f", body)})

    def send(self, item: Item, version: dict[str, Any], method: str, url: str, **arguments: Any) -> None:
        """As `call`, with plain HTTP."""
        self.doubt = Doubt(f"{method} by link or form", self.put_version(item, version, None))
        self.touched.add(item)
        try:
            answer = httpx.request(method, url, timeout=30, **arguments)
        except httpx.TransportError as error:
            raise ConnectionError(str(error)) from error
        if answer.status_code >= 500:
            raise ConnectionError(answer.text)
        assert answer.status_code in (200, 204), answer.text
        self.known |= self.put_version(
            item, version, {"VersionId": answer.headers.get("x-amz-version-id", ANY)}
        )
        self.doubt = None
        self.acknowledged += 1

    def op_bucket(self) -> None:
        """* create_bucket, delete_bucket and configuration"""
        name = f"own-{self.name}-{self.random.randrange(3)}"
        item = ("bucket", name)
        there = self.known.get(item)
        if not there:
            self.call("create_bucket", lambda _: {item: {"exists": True}}, Bucket=name)
            return
        what = self.random.choice(["delete", "cors", "tags", "policy", *SETTINGS, *SETTINGS])
        if what in SETTINGS:
            value = self.random.choice(SETTINGS[what].values)
            self.call(
                f"put_bucket_{what}" if what != "public_access_block" else "put_public_access_block",
                lambda _: {item: there | {what: value}},
                Bucket=name,
                **SETTINGS[what].wrap(value),
            )
        elif what == "delete":
            self.call("delete_bucket", lambda _: {item: ABSENT}, Bucket=name)
        elif what == "cors":
            age = self.random.randrange(1000)
            rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAgeSeconds": age}
            self.call(
                "put_bucket_cors",
                lambda _: {item: there | {"cors": age}},
                Bucket=name,
                CORSConfiguration={"CORSRules": [rule]},
            )
        elif what == "tags":
            value = f"{self.random.randrange(1000)}"
            self.call(
                "put_bucket_tagging",
                lambda _: {item: there | {"tag": value}},
                Bucket=name,
                Tagging={"TagSet": [{"Key": "t", "Value": value}]},
            )
        else:
            sid = f"s{self.random.randrange(1000)}"
            statement = {"Sid": sid, "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
            statement["Resource"] = f"arn:aws:s3:::{name}/*"
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self.call("put_bucket_policy", lambda _: {item: there | {"sid": sid}}, Bucket=name, Policy=policy)


def upload_name(item: Item) -> dict[str, Any]:
    """As calls name the upload."""
    return {"Bucket": item[1], "Key": item[2], "UploadId": item[3]}
