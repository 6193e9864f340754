"""The environment's settings, read once from the container's environment variables."""

import configparser
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from shared.environ import SettingError, choice, number

#: The supervisor's own settings. The function never sees them.
OWN_PREFIX = "LAMBDA_"
#: What Docker and the base image set; AWS's environment has none of it, or a value of its own.
CONTAINER_OWN = frozenset(
    {"HOSTNAME", "HOME", "PWD", "OLDPWD", "SHLVL", "TERM", "_", "GPG_KEY"}
    | {"PYTHON_VERSION", "PYTHON_SHA256", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
)


def _credentials(file: str) -> dict[str, str]:
    """The default profile of a shared credentials file, by the names that the function finds it by; in AWS the role's.

    Raises SettingError.
    """
    if not file:
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(Path(file).read_text())
        found = parser["default"]
        return {name.upper(): found[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    except (OSError, configparser.Error, KeyError) as error:
        raise SettingError(f"LAMBDA_CREDENTIALS_FILE={file!r} is no AWS credentials file: {error}") from None


def _log_stream() -> str:
    return f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"


@dataclass
class Settings:
    """Times in seconds, memory in MB (2**20 bytes, as AWS counts)."""

    name: str = "function"
    handler: str = "lambda_function.lambda_handler"
    region: str = "us-east-1"
    account: str = "000000000000"
    timeout: float = 3.0
    memory: int = 128
    init_limit: float = 10.0
    idle: float = 0.0
    freeze: bool = True
    log_format: str = "Text"
    log_level: str = "INFO"
    #: The function's own variables, as a user sets them in its configuration.
    function: dict[str, str] = field(default_factory=dict)
    #: Each environment has one: after a reset for idleness there is a new one.
    log_stream: str = field(default_factory=_log_stream)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Raises SettingError. Ranges are AWS's:
        https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
        """
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return cls(
            name=environ.get("AWS_LAMBDA_FUNCTION_NAME") or "function",
            handler=environ.get("LAMBDA_HANDLER")
            or environ.get("_HANDLER")
            or "lambda_function.lambda_handler",
            region=region,
            account=environ.get("LAMBDA_ACCOUNT_ID") or "000000000000",
            timeout=number(environ, "LAMBDA_TIMEOUT", 3, 0.1, 900),
            memory=int(number(environ, "LAMBDA_MEMORY_MB", 128, 64, 10240)),
            init_limit=number(environ, "LAMBDA_INIT_SECONDS", 10, 0.1, 900),
            idle=number(environ, "LAMBDA_IDLE_SECONDS", 0, 0, 86400),
            freeze=choice(environ, "LAMBDA_FREEZE", "on", "on", "off") == "on",
            log_format=choice(environ, "LAMBDA_LOG_FORMAT", "Text", "Text", "JSON"),
            log_level=choice(
                environ, "LAMBDA_LOG_LEVEL", "INFO", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"
            ),
            function={
                key: value
                for key, value in environ.items()
                if not key.startswith(OWN_PREFIX) and key not in CONTAINER_OWN
            }
            | _credentials(environ.get("LAMBDA_CREDENTIALS_FILE", "")),
        )

    def renew(self) -> None:
        """A new environment logs to a new stream."""
        self.log_stream = _log_stream()

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"

    @property
    def log_group(self) -> str:
        return f"/aws/lambda/{self.name}"

    def environment(self, runtime_api: str) -> dict[str, str]:
        """What the function finds in os.environ: its own variables and the documented ones, which it cannot
        override.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
        """
        documented = {
            "_HANDLER": self.handler,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "TZ": ":UTC",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
            "LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:"
            "/var/task:/var/task/lib:/opt/lib",
            "PYTHONPATH": "/var/runtime",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        }
        if self.log_format == "JSON":
            documented |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": self.log_level}
        return {"LANG": "en_US.UTF-8"} | self.function | documented
