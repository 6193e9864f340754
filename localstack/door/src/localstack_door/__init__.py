"""LocalStack's entry point: installs the door before any request is answered, or LocalStack does not start."""

from localstack.runtime import hooks


@hooks.on_infra_start()  # type: ignore[untyped-decorator]
def install() -> None:
    """Raises SettingError, KeysError. Imports are in the function because LocalStack ignores a hook that it cannot load, but
    not one that fails."""
    import os

    from localstack.aws.handlers import preprocess_request

    from . import signatures
    from .pages import Pages

    # Before the handlers of LocalStack and its S3, which answer requests themselves.
    preprocess_request.handlers[:0] = [Pages(os.environ), *signatures.required(os.environ)]
