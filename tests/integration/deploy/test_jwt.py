"""The HTTP API as it is deployed with an issuer and an audience: its routes ask for a token, as with AUTH=on here."""

import os
import shutil
import subprocess

import httpx
import pytest

from harness.documents import job
from harness.fixtures import MakeStack
from harness.machine import ROOT
from harness.stack import Stack

#: The issuer whose keys are in secrets/own, and in whose name `make token` signs.
ISSUER = (
    "--jwt-issuer",
    "https://issuer.durable-lambda.local",
    "--jwt-audience",
    "another,durable-lambda-api",
)


def token() -> str:
    done = subprocess.run(
        ["make", "-s", "token", "WHO=requester-1"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def deployed(make_module_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A gateway with AUTH=off, and the definition that `make package` and deploy/lambda.sh make."""
    folder = tmp_path_factory.mktemp("deployed")
    subprocess.run(["make", "package"], cwd=ROOT, capture_output=True, check=True)
    shutil.copytree(ROOT / "dist", folder / "dist")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    (folder / "bin").mkdir()
    (folder / "bin/aws").symlink_to("/bin/true")
    script = str(folder / "deploy/lambda.sh")
    command = [
        script,
        "--dry-run",
        "--resonate-url",
        "https://r",
        "--env-file",
        "dist/deploy/function.env",
        *ISSUER,
    ]
    done = subprocess.run(
        command, env=os.environ | {"AWS_REGION": "us-east-1", "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    definition = folder / "definition"
    definition.mkdir()
    shutil.copy(folder / "dist/api.json", definition)
    for path in (definition, definition / "api.json"):
        path.chmod(0o755)
    return make_module_stack(
        env={
            "DEFINITION": str(definition),
            "LAMBDA_BURST_SECONDS": "20",
            "ALLOWED_ORIGINS": "https://example.com",
        },
        files=["tests/integration/deploy/jwt.yaml"],
        services=["gateway", "lambda", "server"],
    )


def test_every_route_asks_for_a_token(deployed: Stack) -> None:
    for method, path in (
        ("POST", "/process-document"), ("GET", "/status/x"), ("GET", "/jobs"), ("POST", "/approve/x"),
        ("DELETE", "/jobs/x"), ("POST", "/jobs/x/retry"),
    ):  # fmt: skip
        answer = deployed.api.request(method, path)
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"}), path


def test_a_token_of_that_issuer_opens_them(deployed: Stack) -> None:
    headers = {"authorization": f"Bearer {token()}"}
    body = job()
    assert deployed.api.post("/process-document", json=body, headers=headers).status_code == 202
    assert deployed.api.get(f"/status/{body['jobId']}", headers=headers).status_code == 200


def test_a_browser_may_send_the_token(deployed: Stack) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html"""
    answer = httpx.options(
        f"{deployed.api_url}/jobs",
        headers={
            "origin": "https://example.com",
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization",
        },
    )
    assert answer.status_code == 204
    assert "authorization" in answer.headers["access-control-allow-headers"]
