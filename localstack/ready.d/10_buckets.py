"""Creates the application's buckets and puts its samples into them.

BUCKETS names them, a pair `declared=actual` each: the name in the application's pyproject.toml, under which its samples
lie (samples/<declared>/…), and the name that the bucket has here. LocalStack runs this inside its own process each time
it has started. What is there already stays as it is.
"""

import configparser
import mimetypes
import os
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

SAMPLES = Path(os.environ.get("SAMPLES_DIR", "/etc/localstack/samples"))
KEYS = os.environ.get("S3_KEYS_FILE") or "/run/secrets/aws_keys"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def ensure_bucket(s3, name: str) -> None:
    """Create the bucket unless there is one of that name."""
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
    else:
        return
    s3.create_bucket(Bucket=name)
    print(f"Bucket {name} created.")  # noqa: T201


def ensure_object(s3, bucket: str, name: str, path: Path) -> None:
    """Upload the file unless the bucket has an object of that name."""
    kind = (
        DOCX if path.suffix == ".docx" else mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    )
    try:
        s3.put_object(Bucket=bucket, Key=name, Body=path.read_bytes(), ContentType=kind, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return
    print(f"Sample s3://{bucket}/{name} uploaded.")  # noqa: T201


def key() -> tuple[str, str]:
    """The stack's own access key, by which it lets itself in where AUTH is on; else what LocalStack takes from anybody."""
    file = configparser.ConfigParser(interpolation=None)
    file.read(KEYS)
    if not file.has_section("stack"):
        return "test", "test"
    return file["stack"]["aws_access_key_id"], file["stack"]["aws_secret_access_key"]


def main() -> None:
    """Buckets first, then the samples."""
    key_id, secret = key()
    s3 = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:4566",
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )
    for pair in os.environ.get("BUCKETS", "").split():
        declared, _, actual = pair.partition("=")
        ensure_bucket(s3, actual)
        folder = SAMPLES / declared
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file():
                ensure_object(s3, actual, path.relative_to(folder).as_posix(), path)


main()
