"""Settings: v0.9.8's defaults, then `resonate.toml` in the working directory, then `RESONATE_…`, `__` between
levels."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

#: What PUSH_TO=* stands for: every address, as in v0.9.8.
ANYWHERE = frozenset({("*", "*", 0)})


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and says what to do."""


class Cors(Struct):
    allow_origins: list[str] = []


class ServerSettings(Struct):
    host: str = "localhost"
    port: int = 8001
    bind: str = "0.0.0.0"
    shutdown_timeout: int = 10_000  # ms
    url: str | None = None
    cors: Cors = field(default_factory=Cors)


class Sqlite(Struct):
    path: str = "resonate.db"


class Storage(Struct):
    type: str = "sqlite"
    sqlite: Sqlite = field(default_factory=Sqlite)


class Auth(Struct):
    publickey: str
    iss: str | None = None
    aud: str | None = None


class Tasks(Struct):
    lease_timeout: int = 15_000  # ms; v0.9.8 reads it and never uses it
    retry_timeout: int = 30_000  # ms


class Timeouts(Struct):
    poll_interval: int = 1000  # ms; here only the pace at which a schedule that is behind catches up


class Messages(Struct):
    poll_interval: int = 100  # ms; read and not used: messages leave with the commit that made them
    batch_size: int = 100


class PushAuth(Struct):
    mode: str = "none"
    token: str | None = None
    audience: str | None = None
    header: str = "Authorization"


class HttpPush(Struct):
    enabled: bool = True
    #: Where messages may be posted to, as PUSH_TO names them: (scheme, host, port); `ANYWHERE`; empty: nowhere.
    to: frozenset[tuple[str, str, int]] = frozenset()
    concurrency: int = 16
    connect_timeout: int = 10_000  # ms
    request_timeout: int = 180_000  # ms
    auth: PushAuth | None = None


class HttpPoll(Struct):
    enabled: bool = True
    max_connections: int = 1000
    buffer_size: int = 100


class Elsewhere(Struct):
    """A transport that only the official server has."""

    enabled: bool = False


class Transports(Struct):
    http_push: HttpPush = field(default_factory=HttpPush)
    http_poll: HttpPoll = field(default_factory=HttpPoll)
    gcps: Elsewhere = field(default_factory=Elsewhere)
    bash_exec: Elsewhere = field(default_factory=Elsewhere)


class Observability(Struct):
    metrics_port: int = 9090
    otlp_endpoint: str = "localhost:4317"


class Settings(Struct):
    level: str = "info"
    debug: bool = False
    server: ServerSettings = field(default_factory=ServerSettings)
    storage: Storage = field(default_factory=Storage)
    auth: Auth | None = None
    tasks: Tasks = field(default_factory=Tasks)
    timeouts: Timeouts = field(default_factory=Timeouts)
    messages: Messages = field(default_factory=Messages)
    transports: Transports = field(default_factory=Transports)
    observability: Observability = field(default_factory=Observability)


def load(env: Mapping[str, str] = os.environ, file: Path = Path("resonate.toml")) -> Settings:
    """The settings, checked; raises `SettingsError`."""
    values: dict[str, Any] = {}
    if file.is_file():
        try:
            values = tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"Configuration error: {file}: {error}") from error
    for name, text in env.items():
        if name.startswith("RESONATE_"):
            _put(values, name.removeprefix("RESONATE_").lower().split("__"), _value(text))
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"Configuration error: {error} (set as RESONATE_… or in {file})") from error
    settings.transports.http_push.to = _push_to(env.get("PUSH_TO", ""))
    _check(settings)
    return settings


def _push_to(text: str) -> frozenset[tuple[str, str, int]]:
    """PUSH_TO: `*`, or addresses without a path, with commas or spaces between."""
    if text.strip() == "*":
        return ANYWHERE
    found = set()
    for item in text.replace(",", " ").split():
        try:
            url = urlsplit(item)
            port = url.port or {"http": 80, "https": 443}[url.scheme]
        except (ValueError, KeyError):
            url, port = urlsplit(""), 0
        if not url.hostname or url.path not in ("", "/") or "@" in url.netloc or url.query or url.fragment:
            raise SettingsError(
                f"PUSH_TO: {item!r} is no address to push to; expected such as http://hook:8080, with commas "
                "between, or * for anywhere"
            )
        found.add((url.scheme, url.hostname, port))
    return frozenset(found)


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        below = values.setdefault(key, {})
        if not isinstance(below, dict):
            below = values[key] = {}
        values = below
    values[path[-1]] = value


def _value(text: str) -> Any:
    """A variable's value: parsed as TOML if it is TOML (`["*"]`, `true`, `5`), else the text itself."""
    try:
        return tomllib.loads(f"v = {text.strip()}")["v"] if text.strip()[:1] in "[{" else text.strip('"')
    except (tomllib.TOMLDecodeError, IndexError):
        return text


def _check(settings: Settings) -> None:
    kind = settings.storage.type
    if kind in ("postgres", "mysql"):
        raise SettingsError(
            f"storage.type={kind}: the embedded server stores in SQLite only; "
            "run the official one (RESONATE_SERVER=official) or unset RESONATE_STORAGE__TYPE"
        )
    if kind != "sqlite":
        raise SettingsError(
            f"Unknown storage backend: '{kind}'. Valid options are 'sqlite', 'postgres', and 'mysql'."
        )
    transports = settings.transports
    for name in ("gcps", "bash_exec"):
        if getattr(transports, name).enabled:
            raise SettingsError(
                f"transports.{name}: not in the embedded server; run the official one (RESONATE_SERVER=official)"
            )
    push = transports.http_push.auth
    if push is not None and push.mode not in ("none", "bearer"):
        raise SettingsError(
            f"transports.http_push.auth.mode={push.mode}: the embedded server knows 'none' and 'bearer'; "
            "'gcp' needs the official one (RESONATE_SERVER=official)"
        )
    if transports.http_poll.buffer_size < 1:
        raise SettingsError("http_poll.buffer_size must be at least 1")
    if transports.http_poll.max_connections < 1:
        raise SettingsError("http_poll.max_connections must be at least 1")
