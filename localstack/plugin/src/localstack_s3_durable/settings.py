"""What the environment says."""

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """All settings, read once when the provider is made."""

    #: Where buckets and objects are kept; created if missing.
    directory: Path = field(
        default_factory=lambda: Path(os.environ.get("S3_DURABLE_DIR") or "/var/lib/localstack/s3")
    )
    #: False trades safety against a power failure for speed; `kill -9` is survived either way.
    sync: bool = field(
        default_factory=lambda: os.environ.get("S3_DURABLE_SYNC", "1").lower() not in ("0", "false")
    )
