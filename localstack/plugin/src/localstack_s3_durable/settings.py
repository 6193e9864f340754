"""What the environment says."""

import os
from dataclasses import dataclass, field
from pathlib import Path

WAY_BACK = "Restore the directory from a copy, or remove its contents to begin empty."


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
    #: What the log and answers advise where something kept is damaged.
    way_back: str = field(default_factory=lambda: os.environ.get("S3_DURABLE_WAY_BACK") or WAY_BACK)
