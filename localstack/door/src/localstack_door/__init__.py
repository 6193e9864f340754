"""LocalStack's entry point: puts the door up before LocalStack answers anybody, or LocalStack does not start."""

from localstack.runtime import hooks


@hooks.on_infra_start()  # type: ignore[untyped-decorator]
def install() -> None:
    """Raises SettingError, KeysError. What cannot be imported is found here too: LocalStack passes over a hook that it
    cannot load, but not over one that fails."""
    import os

    from localstack.aws.handlers import preprocess_request

    from . import signatures
    from .pages import Pages

    # Before what LocalStack and its S3 put there: they answer requests on their own.
    preprocess_request.handlers[:0] = [Pages(os.environ), *signatures.required(os.environ)]
