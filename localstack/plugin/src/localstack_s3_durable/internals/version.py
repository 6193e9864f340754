"""The one version of LocalStack whose inside is known here."""

from localstack.constants import VERSION

from ..errors import UnsupportedVersion

WRITTEN_FOR = "4.14.0"


def check_version(version: str) -> None:
    """Raise UnsupportedVersion unless LocalStack is the version this module knows the inside of."""
    if version != WRITTEN_FOR:
        raise UnsupportedVersion(
            f"localstack-s3-durable is written for LocalStack {WRITTEN_FOR}, and this is {version}. Install that "
            "LocalStack or the plugin's release for this one; without PROVIDER_OVERRIDE_S3 S3 works and forgets."
        )


check_version(VERSION)
