"""What `make itest` has prepared on this machine: images, secrets, and what `make up` detected about it."""

import configparser
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_OWN_SETTINGS = ROOT / ".env"
#: What `make up` detected for the user's own stack; not used for the tests' copies.
_NOT_FOR_COPIES = {"AUTH", "RESONATE_AUTH__PUBLICKEY", "APPLICATION", "COMPOSE_FILE"}


class NotPreparedError(RuntimeError):
    """Something that `make itest` makes is missing; the message says what to run."""


def found_on_this_machine() -> dict[str, str]:
    """What `make up` or `make itest` detected and wrote into .env; empty if neither has run.

    The user's own settings in .env are not used for the tests, except the name of the images.
    """
    if not _OWN_SETTINGS.is_file():
        return {}
    settings, found = {}, False
    for line in _OWN_SETTINGS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# --- "):
            found = line.startswith("# --- found on this machine")
        name, _, value = line.partition("=")
        if (found and name not in _NOT_FOR_COPIES) or name == "STACK_IMAGES":
            settings[name] = value
    return {name: value for name, value in settings.items() if not name.startswith("#")}


def prepared_machine() -> dict[str, str]:
    """The same, for a test that requires it. Raises :class:`NotPreparedError`."""
    found = found_on_this_machine()
    if "PYTHON_IMAGE" not in found:
        raise NotPreparedError(
            f"This clone is not prepared for integration tests: {_OWN_SETTINGS} lacks what `make itest` detects. "
            "Run them with `make itest` (T=… for some); after its first run, pytest works by itself as well."
        )
    return found


def official_server() -> bool:
    """Whether the copies of the stack run the official Resonate server."""
    return found_on_this_machine().get("RESONATE_TARGET") == "official"


def image(name: str) -> str:
    """The stack's image of that name, under the prefix that `make itest` builds with."""
    return f"{image_prefix()}/{name}"


def image_prefix() -> str:
    return os.environ.get("STACK_IMAGES") or found_on_this_machine().get("STACK_IMAGES") or project_prefix()


def secret(name: str) -> str:
    """A secret that `make up` and `make itest` make. Raises :class:`NotPreparedError`."""
    file = ROOT / "secrets" / "own" / name
    if not file.is_file():
        raise NotPreparedError(
            f"{file} is missing; `make itest` makes the tests' secrets, and so does bin/secrets."
        )
    return file.read_text().strip()


def access_key(owner: str) -> tuple[str, str]:
    """The AWS access key of `operator`, `worker` or `function`: id and secret."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(secret(f"aws_credentials_{owner}"))
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]


def project_prefix() -> str:
    """The prefix of the names of all copies of this clone's stack; bin/itest-sweep removes copies by this prefix."""
    return os.environ.get("ITEST_PROJECT", "durable-lambda")
