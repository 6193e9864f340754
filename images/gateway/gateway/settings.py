"""The gateway's settings, read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from shared.doors import Doors
from shared.environ import SettingError, choice, number

from .authorizer import Jwt
from .issuer import API_AUDIENCE, API_ISSUER


def _address(raw: str) -> tuple[str, int]:
    host, _, port = raw.rpartition(":")
    if not host or not port.isdigit():
        raise SettingError(f"LAMBDA_HOST={raw!r} is not an address; expected host:port, such as lambda:8080")
    return host, int(port)


def _authorizer(environ: Mapping[str, str]) -> Jwt | None:
    auth = choice(environ, "AUTH", "off", "on", "off")
    issuer = environ.get("API_JWT_ISSUER", "").strip()
    audience = tuple(environ.get("API_JWT_AUDIENCE", "").split())
    if bool(issuer) != bool(audience):
        raise SettingError("API_JWT_ISSUER and API_JWT_AUDIENCE belong together; set both or neither")
    if issuer and not issuer.startswith("https://"):
        raise SettingError(f"API_JWT_ISSUER={issuer!r} is no issuer; expected https://…, as API Gateway does")
    return Jwt(issuer or API_ISSUER, audience or (API_AUDIENCE,)) if auth == "on" else None


@dataclass
class Settings:
    """Times in seconds."""

    #: A DNS name with one address for each execution environment, and their port.
    host: str = "lambda"
    port: int = 8080
    #: How long a request waits for a free environment before it is throttled.
    burst: float = 5.0
    function: str = "function"
    region: str = "us-east-1"
    account: str = "000000000000"
    api_id: str = "local"
    stage: str = "$default"
    #: "1.0" or "2.0"; empty: as each route of the OpenAPI file says.
    event_version: str = ""
    openapi: Path = Path("/app/openapi.yaml")
    data: Path = Path("/data")
    #: Pauses before the second and third attempt of an asynchronous event that the function failed.
    event_pauses: tuple[float, ...] = (60.0, 120.0)
    #: How old an asynchronous event may get (MaximumEventAgeInSeconds).
    event_age: float = 21600.0
    integration: float = 30.0
    names: frozenset[str] = field(default_factory=frozenset)
    #: The authorizer of every route that does not name one itself; None: no authorizer.
    authorizer: Jwt | None = None
    #: Which origins and hosts both APIs accept requests from.
    doors: Doors = field(default_factory=lambda: Doors.read({}))
    #: The keys of the local issuer; other issuers are asked for theirs.
    jwks: Path = Path("/run/secrets/api_jwks")
    #: The keys that requests to the Lambda API are signed with, if `authorizer` is set.
    aws_keys: Path = Path("/run/secrets/aws_keys")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Raises SettingError."""
        host, port = _address(environ.get("LAMBDA_HOST") or "lambda:8080")
        raw = environ.get("LAMBDA_RETRY_SECONDS", "")
        try:
            event_pauses = tuple(float(pause) for pause in raw.split()) or (60.0, 120.0)
        except ValueError:
            raise SettingError(
                f"LAMBDA_RETRY_SECONDS={raw!r} is no list of seconds; expected: 60 120"
            ) from None
        function = environ.get("AWS_LAMBDA_FUNCTION_NAME") or "function"
        return cls(
            host=host,
            port=port,
            burst=number(environ, "LAMBDA_BURST_SECONDS", 5, 0, 900),
            function=function,
            region=environ.get("AWS_REGION") or "us-east-1",
            account=environ.get("LAMBDA_ACCOUNT_ID") or "000000000000",
            api_id=environ.get("API_ID") or "local",
            stage=environ.get("API_STAGE") or "$default",
            event_version=choice(environ, "API_EVENT_VERSION", "", "", "1.0", "2.0"),
            openapi=Path(environ.get("API_OPENAPI") or "/app/openapi.yaml"),
            data=Path(environ.get("GATEWAY_DATA") or "/data"),
            event_pauses=event_pauses,
            event_age=number(environ, "LAMBDA_EVENT_AGE_SECONDS", 21600, 1, 21600),
            integration=number(environ, "API_INTEGRATION_SECONDS", 30, 0.05, 30),
            names=frozenset({function, "function"}),
            authorizer=_authorizer(environ),
            doors=Doors.read(environ),
            jwks=Path(environ.get("API_JWKS_FILE") or "/run/secrets/api_jwks"),
            aws_keys=Path(environ.get("LAMBDA_KEYS_FILE") or "/run/secrets/aws_keys"),
        )

    def issuers(self) -> dict[str, Path]:
        """Issuers whose keys are in a file."""
        return {API_ISSUER: self.jwks}

    def arn(self, name: str) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
