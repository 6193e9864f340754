"""What a LocalStack process does with its directory."""

from io import BytesIO
from pathlib import Path
from typing import Any

from localstack.services.s3.models import S3Bucket, S3Object, s3_stores
from localstack_s3_durable.provider import DurableS3Provider
from localstack_s3_durable.settings import WAY_BACK, Settings

ACCOUNT, REGION = "000000000000", "us-east-1"


class Process:
    """What one LocalStack process does with the directory."""

    def __init__(self, directory: Path, sync: bool = True) -> None:
        s3_stores.reset()
        self.directory = directory
        self.provider = DurableS3Provider(Settings(directory, sync, WAY_BACK))
        self.journal = self.provider._journal
        self.ledger = self.provider._ledger

    @property
    def store(self) -> Any:
        return self.provider.get_store(ACCOUNT, REGION)

    def bucket(self, name: str = "b", versions: bool = False) -> Any:
        """Create a bucket."""
        owner = {"ID": "owner"}
        bucket = S3Bucket(name, ACCOUNT, REGION, owner, acl={"Owner": owner, "Grants": []})

        def create() -> None:
            self.store.buckets[name] = bucket
            self.store.global_bucket_map[name] = ACCOUNT

        self.journal.run(create)
        if versions:
            self.enable_versions(bucket)
        return bucket

    def enable_versions(self, bucket: Any) -> None:
        """As PutBucketVersioning does."""
        from localstack.services.s3.models import VersionedKeyStore

        def enable() -> None:
            bucket.objects = VersionedKeyStore.from_key_store(bucket.objects)
            bucket.versioning_status = "Enabled"

        self.journal.run(enable, lambda: [("bucket", bucket.name)])

    def put(self, bucket: Any, key: str, body: bytes, version: str | None = None, **more: Any) -> Any:
        """Put an object, as PutObject does."""
        s3_object = S3Object(key=key, version_id=version, owner=bucket.owner, **more)

        def write() -> None:
            with self.provider._storage_backend.open(bucket.name, s3_object, mode="w") as stored:
                stored.write(BytesIO(body))
                bucket.objects.set(key, s3_object)

        self.journal.run(write)
        return s3_object

    def read(self, bucket: str, key: str, version: str | None = None) -> bytes | None:
        """An object's bytes."""
        found = self.provider._memory.current(bucket, key, version)
        if found is None:
            return None
        with self.provider._storage_backend.open(bucket, found) as stored:
            return bytes(stored.read())

    def blobs(self) -> set[str]:
        """The files that exist."""
        return {path.name for path in (self.directory / "blobs").glob("??/*")}

    def die(self) -> None:
        """Stop like a killed process: nothing is finished, and the directory is released."""
        helper = self.provider._helper
        helper._settle = lambda waiting: waiting.clear()
        helper._blobs.remove = lambda _: None
        helper.close()
        self.ledger.close()
