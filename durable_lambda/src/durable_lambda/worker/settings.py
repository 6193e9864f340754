"""A worker's settings: environment variables and secrets' files, read once at the start, each with its check.

An application adds its own by a subclass. A field is read from the variable of its name in capitals, or from the file of
its name in /run/secrets. The variable takes precedence over the file, and an empty variable counts as not set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from durable_lambda.address import address

#: Where the stack mounts secrets.
SECRETS = Path("/run/secrets")


class SettingError(ValueError):
    """Settings have values that the worker cannot use; the message names each, and what to give instead."""


def _parts(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _without_scheme(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if any("/" in host or "*" in host for host in hosts):
        raise ValueError("give names or addresses, separated by commas, without scheme or port")
    return hosts


Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: Numbers separated by commas.
Delays = Annotated[
    tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...], NoDecode, BeforeValidator(_parts)
]
#: Host names or addresses separated by commas.
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts), AfterValidator(_without_scheme)]


class Settings(BaseSettings):
    """The settings of every worker. The defaults are those of the local stack."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, str_strip_whitespace=True, validate_by_name=True
    )

    #: The server; without it `http://<resonate_host>:<resonate_store_port>`, if a host is given. The host may be a URL, and
    #: may have a port of its own.
    resonate_url: str = "http://server:8001"
    resonate_host: str = ""
    resonate_store_port: Count = 8001
    #: The worker's token for the server, or the file that holds it; empty: the server asks for none.
    resonate_token: SecretStr = SecretStr("")
    resonate_token_file: str = ""
    #: The group whose jobs this worker takes.
    worker_group: str = "worker"
    #: Jobs this worker runs at once.
    worker_concurrency: Count = 8
    #: Seconds a job's lease lasts; it is renewed every third of that. The job of a killed worker goes on after it.
    task_ttl_seconds: Seconds = Field(default=5.0, validation_alias="RESONATE_TASK_TTL_SECONDS")
    #: The server's own setting: ms after which it offers a task again that nobody has taken up.
    task_retry_ms: Count = Field(default=5000, validation_alias="RESONATE_TASKS__RETRY_TIMEOUT")
    #: Workers in a row that may be lost with a job, without a checkpoint in between, before it is ended as failed. After
    #: only one lost worker, nobody can tell which of its jobs killed it.
    task_tries: int = Field(default=5, ge=2)
    #: Seconds between one try of a step and the next; their number is the number of retries.
    step_retry_seconds: Delays = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
    #: Private hosts, by the name or address in the URL, that steps may connect to all the same, even by plain http.
    private_hosts: Hosts = ()
    #: For tests only: a folder that makes workers crash on purpose (see :meth:`durable_lambda.worker.Tools.crash_point`).
    crash_folder: str = ""
    #: The file whose age tells the health check that the server can reach this worker.
    health_file: str = "/tmp/healthy"  # noqa: S108 - the container's only writable place
    #: Seconds that a worker told to stop waits for what is under way.
    stop_seconds: float = Field(default=3.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _server_and_token(cls, values: dict[str, Any]) -> dict[str, Any]:
        values = dict(values)
        host = values.get("resonate_host")
        if host and not values.get("resonate_url"):
            values["resonate_url"] = address(host, values.get("resonate_store_port"))
        file = values.get("resonate_token_file")
        # A file that is named takes precedence over the one in /run/secrets, but not over the variable.
        if file and not os.environ.get("RESONATE_TOKEN"):
            try:
                values["resonate_token"] = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ValueError(
                    f"RESONATE_TOKEN_FILE={file!r} cannot be read ({error.strerror}): name the file that holds the "
                    "worker's token, or set RESONATE_TOKEN."
                ) from None
        return values

    @property
    def token(self) -> str | None:
        """The worker's token for the server, or None if it has none."""
        return self.resonate_token.get_secret_value() or None


def load[S: Settings](kind: type[S], secrets: Path = SECRETS) -> S:
    """Read the settings of this kind. Raises :class:`SettingError`, which names every value that cannot be used."""
    try:
        return kind(_secrets_dir=secrets if secrets.is_dir() else None)  # type: ignore[call-arg]
    except ValidationError as error:
        hidden = {
            str(field.validation_alias or name).upper()
            for name, field in kind.model_fields.items()
            if field.annotation is SecretStr
        }
        sentences = [_sentence(dict(one), hidden) for one in error.errors()]
        raise SettingError(" ".join(dict.fromkeys(sentences))) from None


#: What to give instead, by pydantic's name for what is wrong.
_GIVE = {
    "finite_number": "give a number",
    "float_parsing": "give a number",
    "greater_than": "give a number above {gt:g}",
    "greater_than_equal": "give {ge:g} or more",
    "int_from_float": "give a whole number",
    "int_parsing": "give a whole number",
    "literal_error": "give {expected}",
    "value_error": "{error}",
}


def _sentence(wrong: dict[str, Any], hidden: set[str]) -> str:
    """What is wrong with one variable; `hidden` are those whose value is a secret."""
    give = _GIVE[wrong["type"]].format(**wrong["ctx"]) if wrong["type"] in _GIVE and "ctx" in wrong else ""
    give = give or _GIVE.get(wrong["type"], wrong["msg"])
    if not wrong["loc"]:  # several settings together
        return give
    variable = str(wrong["loc"][0]).upper()
    value = "" if variable in hidden else f"={os.environ.get(variable) or wrong['input']!r}"
    return f"{variable}{value} cannot be used: {give}."
