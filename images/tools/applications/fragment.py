"""The compose file of an application, added to the stack's own."""

import json
from typing import Any

from .table import Application, Half

#: The application's images: of the function in the stack, and of the worker.
IMAGES = ("{slug}-function-$LAMBDA_FROM", "{slug}-worker")
_PREFIX = "${STACK_IMAGES:-durable-lambda}"
_HEADER = """\
# The application {name}, added to the stack's compose.yaml. Made from its pyproject.toml: change that file, not this one.
"""


def compose_file(application: Application, place: str, digests: dict[str, str], *, openapi: bool) -> str:
    """`place` is the staged folder, from the repository's root. A label makes Compose replace a service whose mounted
    files have changed."""
    label = {"durable-lambda.application": _plain(application.name)}
    buckets = {name: f"${{{name}:-{_plain(value)}}}" for name, value in application.buckets.items()}
    function, worker = application.halves["function"], application.halves["worker"]
    name = {"AWS_LAMBDA_FUNCTION_NAME": _plain(application.name)}
    gateway: dict[str, Any] = {
        "labels": label | {"durable-lambda.openapi": digests["gateway"]},
        "environment": name | {"API_OPENAPI": "/application/openapi.yaml"},
        "volumes": [_mount(f"{place}/gateway", "/application")],
    }
    if not openapi:
        # Without a definition, the gateway sends every method and path to the function.
        gateway = {"labels": label, "environment": name}
    environments = {
        "labels": label,
        "image": f"{_PREFIX}/{application.slug}-function-${{LAMBDA_FROM:-image}}",
        "build": _build(
            f"{place}/function",
            "images/lambda/application.Dockerfile",
            {"LAMBDA_FROM": "${LAMBDA_FROM:-image}"},
        ),
        "environment": name | buckets | _environment(function),
        "secrets": _secrets(function, "function"),
    }
    workers = {
        "labels": label,
        "image": f"{_PREFIX}/{application.slug}-worker",
        "build": _build(f"{place}/worker", "images/worker/application.Dockerfile", {}),
        "deploy": {"replicas": "${WORKER_REPLICAS:-1}"},
        "environment": buckets | _environment(worker),
        "secrets": _secrets(worker, "worker"),
    }
    s3 = {
        "labels": {"durable-lambda.samples": digests["samples"]},
        "environment": {
            # Each bucket's declared name, and its name here; samples are in the folder of the declared name.
            "BUCKETS": " ".join(f"{value}={buckets[name]}" for name, value in application.buckets.items())
        },
        "volumes": [_mount(f"{place}/samples", "/etc/localstack/samples")],
    }
    token = application.prefix.rstrip("/") or "_all"
    secrets = {"resonate_token_worker": _file(f"resonate_tokens_worker/{token}")}
    for which, half in application.halves.items():
        secrets |= {
            f"{which}_{secret}": _file(f"applications/{application.slug}/{which}/{secret}")
            for secret in half.secrets
        }
    document = {
        "services": {"gateway": gateway, "lambda": environments, "worker": workers, "localstack": s3},
        "secrets": secrets,
    }
    return _HEADER.format(name=application.name) + "\n".join(_yaml(document)) + "\n"


def _build(context: str, dockerfile: str, arguments: dict[str, str]) -> dict[str, Any]:
    # The Dockerfile lies outside of its context, so it is named from there: .state/apps/<id>/<half>.
    up = "/".join([".."] * len(context.removeprefix("./").split("/")))
    return {
        "context": context,
        "dockerfile": f"{up}/{dockerfile}",
        "target": "app",
        "args": {"STACK_IMAGES": _PREFIX, **arguments},
    }


def _environment(half: Half) -> dict[str, str | None]:
    """A variable without a default is passed on only if it is set."""
    return {
        name: f"${{{name}:-{_plain(value)}}}" if value else None for name, value in half.environment.items()
    }


def _secrets(half: Half, which: str) -> list[dict[str, str]]:
    return [{"source": f"{which}_{name}", "target": name} for name in half.secrets]


def _file(name: str) -> dict[str, str]:
    return {"file": f"${{SECRETS_FOLDER:-./secrets/none}}/{name}"}


def _mount(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _plain(text: str) -> str:
    """Text, escaped so that Compose finds no variable in it."""
    return text.replace("$", "$$")


def _yaml(value: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, inner in value.items():
        # Every key is a name: no YAML reader takes it for anything else.
        if isinstance(inner, dict) and inner:
            lines += [f"{indent}{key}:", *_yaml(inner, indent + "  ")]
        elif inner is None:
            lines.append(f"{indent}{key}:")
        elif inner or inner == "":
            lines.append(f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}")
    return lines
