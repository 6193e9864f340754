"""Which names a function, a promise prefix, a bucket, a variable and a secret may have."""

import ipaddress
import re

#: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)?")
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

#: Variables that the stack, Lambda or Compose sets itself.
_TAKEN_PREFIXES = (
    "AWS_",
    "LAMBDA_",
    "RESONATE_",
    "COMPOSE_",
    "DOCKER_",
    "STACK_",
    "DURABLE_LAMBDA_",
    "PYTHON",
    "LD_",
)
# fmt: off
_TAKEN = frozenset({
    "APP", "APPLICATION", "API_PORT", "S3_PORT", "API_EVENT_VERSION", "API_JWT_ISSUER", "API_JWT_AUDIENCE",
    "API_OPENAPI", "API_STAGE", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "AUTH", "BUCKETS", "CA_BUNDLE",
    "CPU_LIMIT", "HEALTH_CHECKS", "HEALTH_FILE", "HOME", "HOSTNAME", "LOCALSTACK_TARGET", "PATH",
    "PIP_CONF", "POSTGRES_PASSWORD", "POSTGRES_TARGET", "PUSH_TO", "SECRETS_FOLDER", "TZ",
    "WORKER_CONCURRENCY", "WORKER_GROUP", "WORKER_MEMORY_MB", "WORKER_REPLICAS", "TASK_TRIES",
    "STEP_RETRY_SECONDS", "PRIVATE_HOSTS",
})
# fmt: on
#: Files that the stack itself puts below /run/secrets.
_TAKEN_SECRETS = frozenset({"resonate_token", "aws_credentials"})


def function_problem(name: str) -> str | None:
    if _FUNCTION.fullmatch(name):
        return None
    return f"{name!r} is not a Lambda function's name; use 1 to 64 letters, digits, hyphens and underscores."


def prefix_problem(prefix: str) -> str | None:
    if _PREFIX.fullmatch(prefix):
        return None
    return f'{prefix!r} is not a prefix of promise ids; use one word and a slash, such as "doc/", or leave it out.'


def bucket_problem(name: str) -> str | None:
    if _BUCKET.fullmatch(name) and ".." not in name and not _is_address(name):
        return None
    return (
        f"{name!r} is not a bucket's name; use 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or "
        "digit at both ends."
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def setting_problem(name: object) -> str | None:
    """A setting's name, which may be one that the stack has as well."""
    if isinstance(name, str) and _VARIABLE.fullmatch(name):
        return None
    return f"{name!r} is not a variable's name; use letters, digits and underscores, with a letter first."


def variable_problem(name: str) -> str | None:
    if problem := setting_problem(name):
        return problem
    if name in _TAKEN or name.startswith(_TAKEN_PREFIXES):
        return f"{name} is set by the stack or by Lambda itself; choose another name."
    return None


def value_problem(value: object) -> str | None:
    """Compose reads a default between `${NAME:-` and the next `}`, on one line."""
    if not isinstance(value, str):
        return f"{value!r} is not text; write the value in quotes."
    if "}" in value or "\n" in value:
        return "a value here can hold neither } nor a line break (Compose reads it); set it in .env instead."
    return None


def secret_problem(name: str) -> str | None:
    if not _SECRET.fullmatch(name):
        return f"{name!r} is not a secret's name; use letters, digits, dots, hyphens and underscores."
    if name in _TAKEN_SECRETS:
        return f"{name} is a file that the stack makes itself; choose another name."
    return None


def slug(name: str) -> str:
    """A project's name as it is in the names of its images (lower case, hyphens)."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
