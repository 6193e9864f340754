"""What LocalStack says of S3's state."""

from localstack.services.plugins import SERVICE_PLUGINS, ServiceState


def report_error(error: Exception) -> None:
    """S3 is in error from now on: `/_localstack/health` says so."""
    container = SERVICE_PLUGINS.get_service_container("s3")
    if container is not None:  # None in tests, which have no LocalStack around the provider
        container.errors.append(error)
        container.state = ServiceState.ERROR
