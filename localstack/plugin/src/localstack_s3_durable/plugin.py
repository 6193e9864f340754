"""The entry point: LocalStack loads it when PROVIDER_OVERRIDE_S3=durable says so."""

import logging

from localstack.services.plugins import Service, aws_provider

LOG = logging.getLogger(__name__)


@aws_provider(api="s3", name="durable")  # type: ignore[untyped-decorator]
def s3() -> Service:
    """Make the service. Errors are logged here, because LocalStack would only say that S3 could not be loaded."""
    from .errors import DurableError

    try:
        from . import internals  # noqa: F401 - imported first: it refuses other versions of LocalStack
        from .provider import DurableS3Provider

        provider = DurableS3Provider()
    except DurableError as error:
        LOG.error("S3 does not start. %s", error)
        raise
    return Service.for_provider(provider, dispatch_table_factory=lambda _: provider.dispatch_table())
