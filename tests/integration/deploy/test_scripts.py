"""deploy/lambda.sh and deploy/stack.sh: which AWS calls they make, in which order, and what they say if something is
missing.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.machine import ROOT

Run = Callable[..., subprocess.CompletedProcess[str]]

#: Stands in for the AWS CLI: records its arguments and the function's variables, and answers with ids. If EXISTS is set,
#: the resources already exist.
FAKE = """#!/bin/bash
printf '%s\\n' "$*" >>"$CALLS"
for argument; do case $argument in file:///*) cp "${argument#file://}" "$CALLS.variables" ;; esac; done
case "$*" in
    'sts get-caller-identity'*) [ -n "$CREDENTIALS" ] || exit 255; echo 111122223333 ;;
    'iam get-role'* | 'lambda get-function '* | 's3api head-object'*)
        [ -n "$EXISTS" ] || { echo 'An error occurred (ResourceNotFoundException): Not Found' >&2; exit 254; } ;;
    *get-apis*) [ -z "$EXISTS" ] && echo None || echo abc ;;
    *publish-layer-version*) echo arn:aws:lambda:eu-west-1:111122223333:layer:expenses:7 ;;
    *publish-version*) echo 3 ;;
    *import-api*) echo abc ;;
esac
"""
#: dist/deploy/function.env with some values filled in.
FUNCTION = """# Made by make package.
FUNCTION_NAME=expenses
LEDGER_BUCKET=our-ledger
#EMPTY=
GREETING=say "hi", a\\b
"""
LAMBDA = (
    "deploy/lambda.sh",
    "--resonate-url",
    "https://resonate.example.org",
    "--env-file",
    "function.env",
)
STACK = ("deploy/stack.sh", "--stack", "jobs", "--bucket", "artifacts", "--worker-image", "registry/worker:1")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a script in a copy of the files that it reads, with the fake `aws` first on the path."""
    for name in ("deploy", "dist/deploy", "bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "dist/deploy/template.yaml").write_text("Resources: {}")
    (tmp_path / "function.env").write_text(FUNCTION)
    for source in (ROOT / "deploy").iterdir():
        if source.is_file():
            (tmp_path / "deploy" / source.name).write_bytes(source.read_bytes())
            (tmp_path / "deploy" / source.name).chmod(0o755)
    for name in ("lambda-package.zip", "lambda-package-arm64.zip", "lambda-function.zip", "layer.zip"):
        (tmp_path / "dist" / name).write_text(name)
    (tmp_path / "dist/openapi.json").write_text(
        '{"info": {"title": {\n "Ref": "AWS::StackName"\n}}, "x": {"uri": {\n "Fn::Sub": "arn:${Function.Arn}"\n}}}'
    )
    # (with the other file that the real folder has: deploy/definition.py)
    (tmp_path / "dist/openapi-jwt.json").write_text(
        '{"info": {"title": {\n "Ref": "AWS::StackName"\n}}, "x": {"uri": {\n "Fn::Sub": "arn:${Function.Arn}"\n}},'
        ' "jwtConfiguration": {"audience": {\n "Ref": "JwtAudience"\n}, "issuer": {"Ref": "JwtIssuer"}}}'
    )
    (tmp_path / "bin/aws").write_text(FAKE)
    (tmp_path / "bin/aws").chmod(0o755)

    def start(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls"), "AWS_REGION": "eu-west-1",
            "CREDENTIALS": "yes", "EXISTS": "", "HOME": str(tmp_path),
        }  # fmt: skip
        return subprocess.run(
            command, cwd=tmp_path, env=settings | environment, text=True, check=False, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start


def calls(folder: Path) -> list[str]:
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


def verbs(folder: Path) -> list[str]:
    return [" ".join(line.split()[:2]) for line in calls(folder)]


def test_first_deployment_makes_role_function_and_api_in_this_order(run: Run, tmp_path: Path) -> None:
    done = run(*LAMBDA)
    assert done.returncode == 0, done.stdout
    assert verbs(tmp_path) == [
        "sts get-caller-identity",
        "iam get-role", "iam create-role", "iam wait", "iam attach-role-policy",
        "lambda get-function", "lambda create-function", "lambda wait", "lambda publish-version",
        "apigatewayv2 get-apis", "apigatewayv2 import-api", "apigatewayv2 create-stage", "lambda add-permission",
    ]  # fmt: skip
    create = next(line for line in calls(tmp_path) if line.startswith("lambda create-function"))
    assert "--zip-file fileb://dist/lambda-package.zip" in create
    assert "--role arn:aws:iam::111122223333:role/expenses-role" in create
    assert json.loads((tmp_path / "calls.variables").read_text()) == {
        "Variables": {
            "RESONATE_URL": "https://resonate.example.org",
            "WORKER_GROUP": "worker",
            "LEDGER_BUCKET": "our-ledger",
            "GREETING": 'say "hi", a\\b',
        }
    }
    # AND the routes lead to this function
    imported = (tmp_path / "dist/api.json").read_text()
    assert "functions/arn:aws:lambda:eu-west-1:111122223333:function:expenses/invocations" in imported
    assert "Fn::Sub" not in imported
    assert json.loads(imported)["info"]["title"] == "expenses"
    assert "answers at https://abc.execute-api.eu-west-1.amazonaws.com" in done.stdout


def test_second_deployment_changes_what_is_there(run: Run, tmp_path: Path) -> None:
    done = run(*LAMBDA, "--packaging", "layer", EXISTS="yes")
    assert done.returncode == 0, done.stdout
    assert verbs(tmp_path) == [
        "sts get-caller-identity", "iam get-role", "iam attach-role-policy",
        "lambda publish-layer-version", "lambda get-function", "lambda update-function-configuration", "lambda wait",
        "lambda update-function-code", "lambda wait", "lambda publish-version",
        "apigatewayv2 get-apis", "apigatewayv2 reimport-api",
    ]  # fmt: skip
    assert "--layers arn:aws:lambda:eu-west-1:111122223333:layer:expenses:7" in "\n".join(calls(tmp_path))


def test_every_command_is_shown_as_it_runs(run: Run, tmp_path: Path) -> None:
    done = run(*LAMBDA)
    shown = [shlex.split(line[2:])[1:] for line in done.stdout.splitlines() if line.startswith("+ aws")]
    ran = [line for line in calls(tmp_path) if not line.startswith("sts")]
    assert [" ".join(words) for words in shown] == ran


def test_dry_run_asks_nobody_and_needs_no_credentials(run: Run, tmp_path: Path) -> None:
    for script in (LAMBDA, STACK):
        done = run(*script, "--dry-run", CREDENTIALS="")
        assert done.returncode == 0, done.stdout
        assert "+ aws " in done.stdout
    assert calls(tmp_path) == []


def test_a_token_is_handed_over_and_not_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    done = run(*LAMBDA, "--token-file", "token")
    variables = json.loads((tmp_path / "calls.variables").read_text())["Variables"]
    assert variables["RESONATE_TOKEN"] == "s3cret"
    assert "s3cret" not in done.stdout + "\n".join(calls(tmp_path))
    # AND the file with the token is deleted
    files = re.findall(r"file://(/\S+)", done.stdout)
    assert files
    assert not [path for path in files if Path(path).exists()]


def test_routes_ask_for_tokens_of_the_issuer_that_is_named(run: Run, tmp_path: Path) -> None:
    done = run(*LAMBDA, "--jwt-issuer", "https://id.example.org/pool", "--jwt-audience", "app-1,api:app-2")
    assert done.returncode == 0, done.stdout
    imported = json.loads((tmp_path / "dist/api.json").read_text())
    assert imported["jwtConfiguration"] == {
        "issuer": "https://id.example.org/pool",
        "audience": ["app-1", "api:app-2"],
    }


@pytest.mark.parametrize(
    ("command", "environment", "sentence"),
    [
        (("deploy/lambda.sh",), {}, "where is the Resonate server? --resonate-url https://…"),
        (LAMBDA[:3], {}, "name the file with the function's variables: --env-file deploy/function.env"),
        ((*LAMBDA[:3], "--env-file", "none.env"), {}, "--env-file none.env cannot be read, or is empty"),
        ((*LAMBDA[:3], "--env-file", "odd.env"), {}, "odd.env has a line that is not NAME=value: just words"),
        ((*LAMBDA[:3], "--env-file", "url.env"), {}, "url.env sets RESONATE_URL; give it as an option instead"),
        ((*LAMBDA[:3], "--env-file", "nameless.env"), {}, "nameless.env has no FUNCTION_NAME"),
        (("deploy/lambda.sh", "--resonate-url", "resonate"), {}, "it begins with http:// or https://."),
        ((*LAMBDA, "--arch", "sparc"), {}, "--arch is 'sparc'; give x86_64 or arm64."),
        ((*LAMBDA, "--packaging", "jar"), {}, "--packaging is 'jar'; give zip or layer"),
        ((*LAMBDA, "--jwt-issuer", "https://id.example.org"), {}, "--jwt-issuer and --jwt-audience belong together."),
        ((*LAMBDA, "--jwt-issuer", "id", "--jwt-audience", "a"), {}, "--jwt-issuer is 'id'; it begins with https://."),
        ((*LAMBDA, "--jwt-audience", 'a"]'), {}, "--jwt-audience is 'a\"]'; give names with commas between."),
        ((*LAMBDA, "--memory"), {}, "--memory needs a value."),
        ((*LAMBDA, "--fast"), {}, "there is no option '--fast'"),
        ((*LAMBDA, "--packaging", "layer", "--arch", "arm64"), {}, "there is no dist/layer-arm64.zip; run make"),
        (LAMBDA, {"CREDENTIALS": ""}, "AWS does not know who you are"),
        (LAMBDA, {"AWS_REGION": ""}, "no region; set AWS_REGION=…"),
        (LAMBDA, {"PATH": "/nowhere"}, "there is no command 'aws'"),
        (STACK[:3], {}, "name a bucket for the packages: --bucket BUCKET"),
        ((*STACK, "--packaging", "image"), {}, "needs the function's image, pushed to ECR: --function-image URI"),
    ],
)  # fmt: skip
def test_what_is_missing_is_one_sentence(
    run: Run, tmp_path: Path, command: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    if environment.get("PATH"):
        # bash and its helpers, without aws
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("bash", "env", "dirname", "basename", "sed", "cat", "mktemp", "rm"):
            (tools / name).symlink_to(
                next(p for p in (Path("/usr/bin") / name, Path("/bin") / name) if p.exists())
            )
        environment = {"PATH": str(tools)}
    for name, line in (("odd", "just words"), ("url", "RESONATE_URL=http://r"), ("nameless", "A=b")):
        (tmp_path / f"{name}.env").write_text(f"{line}\n")
    done = run(*command, **environment)
    assert done.returncode != 0
    assert sentence in done.stdout
    assert not [line for line in calls(tmp_path) if "create" in line]


def test_stack_uploads_packages_under_their_content_and_names_them(run: Run, tmp_path: Path) -> None:
    done = run(*STACK, "--packaging", "layer", "--size", "large", "--set", "AlarmEmail=a@example.org")
    assert done.returncode == 0, done.stdout
    assert verbs(tmp_path) == [
        "sts get-caller-identity", "s3api head-object", "s3 cp", "s3api head-object", "s3 cp",
        "cloudformation package", "cloudformation deploy", "cloudformation describe-stacks",
    ]  # fmt: skip
    copies = [line.split() for line in calls(tmp_path) if line.startswith("s3 cp")]
    keys = [words[-1].removeprefix("s3://artifacts/") for words in copies]
    deploy = next(line for line in calls(tmp_path) if line.startswith("cloudformation deploy"))
    assert f"FunctionKey={keys[0]}" in deploy
    assert f"LayerKey={keys[1]}" in deploy
    assert "--tags application=durable-lambda stack=jobs" in deploy
    # WHEN the content changes, the name changes too: the running version keeps its packages, so that one can go back to
    # it
    (tmp_path / "dist/layer.zip").write_text("other")
    os.truncate(tmp_path / "calls", 0)
    run(*STACK, "--packaging", "layer")
    assert keys[1] not in "\n".join(calls(tmp_path))
    assert keys[0] in "\n".join(calls(tmp_path))
