"""The worker's settings: environment variables, read once, each with what it means."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from contract import Sources


class SettingError(ValueError):
    """A setting has a value the worker cannot use; the message names both."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Defaults are those of the local stack."""

    resonate_url: str = "http://server:8001"
    #: The worker's token for the server; empty: none.
    resonate_token: str = ""
    #: The group whose jobs this worker takes.
    worker_group: str = "worker"
    #: Jobs this worker runs at once.
    worker_concurrency: int = 8
    #: Seconds a job's lease lasts; it is renewed every third of that. A killed worker's job goes on after it.
    task_ttl_seconds: float = 5.0
    #: The server's own setting: ms after which it offers a task again that nobody has taken up.
    task_retry_ms: int = 5000
    #: Workers in a row that may be lost with a job, without a checkpoint in between, before it is ended as failed.
    task_tries: int = 5
    documents_bucket: str = "documents"
    work_bucket: str = "work"
    results_bucket: str = "results"
    #: Where documents may come from: never from the work and results buckets; see contract/sources.py.
    sources: Sources = field(default_factory=Sources)
    #: Largest document, in MB (10^6 bytes).
    max_document_mb: int = 50
    #: Seconds a download may take.
    download_seconds: float = 300.0
    #: Limits of the process that reads one document.
    reader_seconds: int = 60
    reader_memory_mb: int = 768
    #: `available`: that process is closed in by what the kernel has, and the log says what it lacks; `required`: the
    #: worker does not start where it lacks something.
    reader_isolation: str = "available"
    #: `local`, or a pydantic-ai model string.
    analyzer_model: str = "local"
    #: Base URL of an OpenAI-compatible endpoint; only with `openai:` models.
    analyzer_base_url: str = ""
    #: Seconds one call of the model may take.
    analyzer_seconds: float = 120.0
    #: Characters of text in one call of the model; longer documents are read in parts.
    analyzer_chunk_chars: int = 48_000
    #: Standard Webhooks secret, `whsec_` and base64. Without it nothing is sent to a callbackUrl.
    webhook_secret: str = ""
    #: Seconds between one try of a webhook and the next; their number is the number of retries.
    webhook_retry_seconds: tuple[float, ...] = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)
    #: Seconds between one try of any other step and the next.
    step_retry_seconds: tuple[float, ...] = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
    #: Hosts, by the name or address in the URL, at which documents and webhooks may be though they are private;
    #: plain http will do there.
    private_hosts: tuple[str, ...] = ()
    #: A folder that makes workers crash on purpose: a job called `crash-<step>-<before|middle|after>…` kills its
    #: worker there, once; `poison-<step>-<before|middle|after>-<exit|segv|oom>…` each time, until `<jobId>.cured` is in
    #: the folder; `hold-…` stands still there until `<jobId>.go` is. For tests only.
    crash_folder: str = ""
    #: The file whose age tells the health check that the worker is alive and connected.
    health_file: str = "/tmp/healthy"  # noqa: S108 - the container's only writable place
    #: Seconds to wait at the end for what is under way to notice.
    stop_seconds: float = field(default=3.0)

    @property
    def max_document_bytes(self) -> int:
        return self.max_document_mb * 1_000_000


#: Where Compose mounts secrets; ECS hands its own over as environment variables.
_SECRETS = Path("/run/secrets")
_SECRET = {"resonate_token", "webhook_secret"}


def _secret(folder: Path, name: str) -> str:
    """The content of a secret's file, empty where there is none."""
    try:
        return (folder / name).read_text().strip()
    except FileNotFoundError:
        return ""


def model_keys(secrets: Path = _SECRETS) -> dict[str, str]:
    """Keys of the model's provider by the names its library reads them by, from the secret of that name."""
    lines = (line.partition("=") for line in _secret(secrets, "model_keys").splitlines())
    return {name.strip(): value.strip() for name, _, value in lines if value.strip()}


def _delays(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part.strip())


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(part.strip() for part in text.split(",") if part.strip())
    for host in hosts:
        if "/" in host or "*" in host:
            raise ValueError("give names or addresses, separated by commas, without scheme or port")
    return hosts


_READ: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "str": str,
    "tuple[float, ...]": _delays,
    "tuple[str, ...]": _hosts,
}
_NAMES = {"task_ttl_seconds": "RESONATE_TASK_TTL_SECONDS", "task_retry_ms": "RESONATE_TASKS__RETRY_TIMEOUT"}
_MAY_BE_ZERO = {"stop_seconds"}
_ISOLATION = ("available", "required")
#: Of one worker that is lost, its jobs cannot be told from the one that killed it.
_LEAST = {"task_tries": 2}


def load(environ: Mapping[str, str] | None = None, secrets: Path = _SECRETS) -> Settings:
    """Read the settings, and what is secret from the files in `secrets` where the environment has none.

    Raises :class:`SettingError` for the first value that cannot be used.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {}
    for name, default, kind in ((f.name, f.default, f.type) for f in fields(Settings)):
        if name == "sources":
            continue  # of several variables
        variable = _NAMES.get(name, name.upper())
        text = environ.get(variable)
        if not text and name in _SECRET:
            text = _secret(secrets, name)
        if text is None or (text == "" and not isinstance(default, str)):
            continue
        try:
            value = _READ[str(kind)](text.strip())
        except ValueError as error:
            raise SettingError(f"{variable}={text!r} cannot be used: {error}.") from None
        if isinstance(value, (int, float)) and (value < 0 or (value == 0 and name not in _MAY_BE_ZERO)):
            raise SettingError(f"{variable}={text!r} cannot be used: give a number above 0.")
        if isinstance(value, int) and value < _LEAST.get(name, 0):
            raise SettingError(f"{variable}={text!r} cannot be used: give {_LEAST[name]} or more.")
        values[name] = value
    values["sources"] = Sources.of(environ)
    settings = Settings(**values)  # type: ignore[arg-type]
    for bucket in settings.sources.own & (settings.sources.allowed | {settings.documents_bucket}):
        raise SettingError(
            f"WORK_BUCKET or RESULTS_BUCKET is {bucket!r}, where documents come from as well (DOCUMENTS_BUCKET, "
            "SOURCE_BUCKETS): a job could name another's text as its document. Give each a bucket of its own."
        )
    if settings.reader_isolation not in _ISOLATION:
        raise SettingError(
            f"READER_ISOLATION={settings.reader_isolation!r} cannot be used: give {' or '.join(_ISOLATION)}."
        )
    try:
        base64.b64decode(settings.webhook_secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        # Not the value: it is a secret.
        raise SettingError("WEBHOOK_SECRET cannot be used: give whsec_ and base64 of the key.") from None
    return settings
