"""Settings, from environment variables."""

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
    #: False: faster, but a power failure may lose acknowledged changes. `kill -9` loses nothing either way.
    sync: bool = field(
        default_factory=lambda: os.environ.get("S3_DURABLE_SYNC", "1").lower() not in ("0", "false")
    )
    #: What log and answers advise when stored data is damaged.
    way_back: str = field(default_factory=lambda: os.environ.get("S3_DURABLE_WAY_BACK") or WAY_BACK)
