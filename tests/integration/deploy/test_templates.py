"""The templates, deployed on a stand-in for CloudFormation (moto.py): which resources they create, and how S3 then
answers.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.engine import docker
from harness.machine import found_on_this_machine, image, project_prefix, secret
from harness.waiting import wait_for
from integration.deploy.filled import dist
from integration.deploy.moto import REGION, allowed, containers, deploy, moto, pairs


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    """A function that makes boto3 clients of the stand-in."""
    with moto() as client:
        yield client


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The templates of apps/documents: three buckets, one of them only read, and secrets."""
    return dist("documents", tmp_path_factory.mktemp("documents"))


@pytest.fixture(scope="module")
def expenses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of apps/expenses: one bucket."""
    return dist("expenses", tmp_path_factory.mktemp("expenses"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of an application without buckets, variables and secrets."""
    nothing: dict[str, Any] = {"environment": {}, "secrets": {}}
    folder = tmp_path_factory.mktemp("bare")
    return dist("seed", folder, buckets={}, function=nothing, worker=nothing)


@pytest.fixture(scope="module")
def around(aws: Any) -> dict[str, str]:
    """Parameters that the other templates would have created."""
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.40.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")[
            "Subnet"
        ]
        for n, zone in enumerate("ab")
    ]
    aws("ecs").create_cluster(clusterName="jobs")
    return {
        "Vpc": vpc,
        "Subnets": ",".join(subnet["SubnetId"] for subnet in subnets),
        "Group": ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc)["GroupId"],
        "Cluster": "jobs",
        "Alarms": aws("sns").create_topic(Name="alarms")["TopicArn"],
        "LogDays": "30",
    }


def kept(aws: Any, name: str, content: str) -> str:
    """The ARN of a new secret."""
    made = aws("secretsmanager").create_secret(Name=f"{name}-{secrets.token_hex(3)}", SecretString=content)
    return str(made["ARN"])


def server(aws: Any, folder: Path, around: dict[str, str], **more: str) -> dict[str, str]:
    parameters = around | {
        "Image": "server", "ScraperImage": "agent", "Cpu": "512", "Memory": "1024", "DatabaseClass": "db.t4g.micro",
        "DatabaseGb": "20", "MultiAz": "false", "Namespace": "jobs", "RetryTimeout": "5000",
    }  # fmt: skip
    return deploy(aws, folder, "server", **parameters, **more)


def worker(aws: Any, folder: Path, around: dict[str, str], **more: str) -> dict[str, str]:
    own = {
        "documents": {"Documents": "d", "Work": "w", "Results": "r"},
        "expenses": {"Ledger": "l"},
    }.get(folder.name.rstrip("0123456789"), {})
    if "Documents" in own:
        own["WebhookSecret"] = kept(aws, "webhook", "whsec_")
    parameters = {key: value for key, value in around.items() if key != "Vpc"} | {
        "Image": "worker", "WorkerGroup": "worker", "ServerUrl": "http://server:8001", "Cpu": "512", "Memory": "2048",
        "Concurrency": "4", "Least": "1", "Most": "4", "Namespace": "jobs", "RetrySeconds": "5",
    }  # fmt: skip
    return deploy(aws, folder, "worker", **parameters, **own, **more)


@pytest.mark.parametrize("tokens", [False, True], ids=["open", "tokens"])
@pytest.mark.parametrize("service", [server, worker])
def test_a_task_may_read_the_secrets_it_is_given_and_no_other(
    aws: Any, documents: Path, around: dict[str, str], service: Any, tokens: bool
) -> None:
    name = {server: "KeySecret", worker: "TokenSecret"}[service]
    made = service(aws, documents, around, **({name: kept(aws, "mine", "x")} if tokens else {}))
    given = {
        arn
        for container in containers(aws, made).values()
        for arn in pairs(container, "secrets", "valueFrom").values()
    }
    assert len(given) == 1 + tokens
    assert given == allowed(aws, made, "StartRole", "secretsmanager:GetSecretValue")


@pytest.mark.parametrize("more", [(), ("contracts",), ("contracts", "invoices.eu")], ids=len)
def test_the_workers_read_the_buckets_that_are_named_and_no_others(
    aws: Any, documents: Path, around: dict[str, str], more: tuple[str, ...]
) -> None:
    made = worker(aws, documents, around, SourceBuckets=",".join(more))
    own = {f"arn:aws:s3:::{bucket}" for bucket in "dwr"}
    others = {f"arn:*:s3:::{bucket}" for bucket in more}
    assert allowed(aws, made, "TaskRole", "s3:GetObject") == {f"{arn}/*" for arn in own | others}
    assert allowed(aws, made, "TaskRole", "s3:ListBucket") == own | others
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert allowed(aws, made, "TaskRole", action) == {"arn:aws:s3:::w/*", "arn:aws:s3:::r/*"}
    # AND the worker itself refuses the others, with the same list
    variables = pairs(containers(aws, made)["worker"], "environment", "value")
    assert variables["SOURCE_BUCKETS"] == ",".join(("d", *more)) + ("" if more else ",")


def test_a_worker_may_use_its_one_bucket(aws: Any, expenses: Path, around: dict[str, str]) -> None:
    made = worker(aws, expenses, around)
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert allowed(aws, made, "TaskRole", action) == {"arn:aws:s3:::l/*"}
    assert allowed(aws, made, "TaskRole", "s3:ListBucket") == {"arn:aws:s3:::l"}
    assert pairs(containers(aws, made)["worker"], "environment", "value")["LEDGER_BUCKET"] == "l"


def test_a_worker_without_buckets_and_secrets_has_no_right(
    aws: Any, bare: Path, around: dict[str, str]
) -> None:
    made = worker(aws, bare, around)
    for role in ("TaskRole", "StartRole"):
        assert aws("iam").list_role_policies(RoleName=made[role])["PolicyNames"] == []
    task = containers(aws, made)["worker"]
    assert pairs(task, "secrets", "valueFrom") == {}
    assert set(pairs(task, "environment", "value")) == {"RESONATE_URL", "WORKER_GROUP", "WORKER_CONCURRENCY"}


def test_a_key_of_a_model_is_handed_over_where_it_is_named(
    aws: Any, documents: Path, around: dict[str, str]
) -> None:
    arn = kept(aws, "model", "sk-1")
    made = worker(aws, documents, around, MistralApiKeySecret=arn, AnalyzerModel="mistral:small")
    task = containers(aws, made)["worker"]
    assert pairs(task, "secrets", "valueFrom")["MISTRAL_API_KEY"] == arn
    assert arn in allowed(aws, made, "StartRole", "secretsmanager:GetSecretValue")
    variables = pairs(task, "environment", "value")
    assert variables["ANALYZER_MODEL"] == "mistral:small"
    # AND empty parameters set no variable
    assert "ANALYZER_BASE_URL" not in variables


def test_a_server_with_a_key_asks_for_tokens(aws: Any, bare: Path, around: dict[str, str]) -> None:
    """The two containers of the task, run: one writes the key down, the other checks tokens with it."""
    made = server(aws, bare, around, KeySecret=kept(aws, "key", secret("resonate_public_key")))
    key, task = (containers(aws, made)[name] for name in ("key", "server"))
    assert task["dependsOn"] == [{"containerName": "key", "condition": "SUCCESS"}]
    (arn,) = pairs(key, "secrets", "valueFrom").values()
    value = aws("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    name = f"{project_prefix()}-itest-{secrets.token_hex(4)}"
    found = image(f"server-{found_on_this_machine()['RESONATE_TARGET']}")
    # (another test covers PostgreSQL)
    settings = pairs(task, "environment", "value") | {
        "RESONATE_STORAGE__TYPE": "sqlite", "RESONATE_STORAGE__SQLITE__PATH": "/tmp/jobs.db"  # noqa: S108 - its tmpfs
    }  # fmt: skip
    closed = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    try:
        # WHEN they run as ECS runs them
        docker(
            "run", "--rm", *closed, "--user", key["user"], "--network", "none", "--volume", f"{name}:/keys",
            "--env", f"KEY={value}", "--entrypoint", key["entryPoint"][0], found, *key["entryPoint"][1:], *key["command"],
        )  # fmt: skip
        docker(
            "run", "--detach", "--name", name, *closed, "--user", task["user"], "--tmpfs", "/tmp:mode=1777",  # noqa: S108
            "--volume", f"{name}:{task['mountPoints'][0]['containerPath']}:ro", "--publish", "127.0.0.1::8001",
            *[part for key, value in settings.items() for part in ("--env", f"{key}={value}")], found,
        )  # fmt: skip
        address = docker("port", name, "8001").splitlines()[0]

        def ask(token: str | None) -> int:
            head = {"corrId": "1", "version": "2026-04-01"} | ({"auth": token} if token else {})
            body = {"kind": "promise.get", "head": head, "data": {"id": "doc/unknown"}}
            return int(httpx.post(f"http://{address}/", json=body).json()["head"]["status"])

        # THEN only clients with a token get an answer
        assert wait_for(lambda: ask(secret("resonate_tokens_worker/_all")), "the server to answer", 60) == 404
        assert ask(secret("resonate_token_function")) == 404
        assert ask(None) == 401
        assert ask("nonsense") == 401
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", "--force", name], capture_output=True, check=False)


@pytest.mark.parametrize("token", [False, True], ids=["open", "token"])
def test_the_function_has_a_token_and_a_key_to_hide_it_where_the_server_asks_for_one(
    aws: Any, documents: Path, around: dict[str, str], token: bool
) -> None:
    s3 = aws("s3")
    s3.create_bucket(Bucket=f"artifacts-{token}".lower())
    s3.put_object(Bucket=f"artifacts-{token}".lower(), Key="f.zip", Body=b"zip")
    parameters = {key: around[key] for key in ("Subnets", "Group", "Alarms", "LogDays")} | {
        "Packaging": "zip", "Architecture": "x86_64", "Artifacts": f"artifacts-{token}".lower(), "FunctionKey": "f.zip",
        "MemoryMb": "512", "Concurrency": "0", "ServerUrl": "http://server:8001", "WorkerGroup": "worker-2",
        "Documents": "d", "Work": "w", "Results": "r",
    }  # fmt: skip
    arn = kept(aws, "token", "t0ken")
    made = deploy(aws, documents, "api", **parameters, **({"TokenSecret": arn} if token else {}))
    function = aws("lambda").get_function_configuration(FunctionName=made["Function"])
    variables = function["Environment"]["Variables"]
    assert {
        name: variables.pop(name, None) for name in ("RESONATE_URL", "WORKER_GROUP", "RESONATE_TOKEN")
    } == {
        "RESONATE_URL": "http://server:8001",
        "WORKER_GROUP": "worker-2",
        # (CloudFormation puts the value in, moto leaves the reference)
        "RESONATE_TOKEN": f"{{{{resolve:secretsmanager:{arn}:SecretString}}}}" if token else None,
    }
    buckets = {"DOCUMENTS_BUCKET": "d", "WORK_BUCKET": "w", "RESULTS_BUCKET": "r", "SOURCE_BUCKETS": "d,"}
    assert variables == buckets
    # AND it may use the key that they are encrypted with, if there is one (moto does not store it with the function)
    keys = {
        key["KeyArn"] for key in aws("kms").list_keys()["Keys"] if key["KeyId"] == made.get("VariablesKey")
    }
    assert bool(keys) == token
    assert allowed(aws, made, "FunctionRole", "kms:Decrypt") == keys


@pytest.mark.parametrize(
    ("application", "wanted"), [("documents", {"Documents", "Work", "Results"}), ("expenses", {"Ledger"}), ("bare", set())]
)  # fmt: skip
def test_storage_is_created_encrypted_and_takes_objects(
    aws: Any, request: pytest.FixtureRequest, application: str, wanted: set[str]
) -> None:
    days = {f"{name}Days": "30" for name in wanted}
    outputs = deploy(aws, request.getfixturevalue(application), "storage", **days)
    s3 = aws("s3")
    for name in (*wanted, "AccessLogs"):
        bucket = outputs[name]
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        # AND an object can be put and read
        s3.put_object(Bucket=bucket, Key="a.pdf", Body=b"%PDF-")
        assert s3.get_object(Bucket=bucket, Key="a.pdf")["Body"].read() == b"%PDF-"


@pytest.mark.skipif(
    shutil.which("aws") is None, reason="the AWS CLI is not on this machine: docs.aws.amazon.com/cli"
)
def test_packaging_uploads_every_template_and_both_definitions(
    aws: Any, documents: Path, tmp_path: Path
) -> None:
    """Runs the command of deploy/stack.sh with the real AWS CLI."""
    s3, bucket, packaged = aws("s3"), f"packages-{secrets.token_hex(3)}", tmp_path / "packaged.yaml"
    s3.create_bucket(Bucket=bucket)
    subprocess.run(
        ["aws", "cloudformation", "package", "--template-file", "deploy/template.yaml", "--s3-bucket", bucket,
         "--s3-prefix", "jobs", "--output-template-file", str(packaged)],
        cwd=documents, capture_output=True, check=True,
        env=os.environ | {"AWS_ENDPOINT_URL": s3.meta.endpoint_url, "AWS_DEFAULT_REGION": REGION,
                          "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
    )  # fmt: skip

    def uploaded(key: str) -> str:
        return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())

    nested = [uploaded(key) for key in re.findall(rf"TemplateURL: \S+/{bucket}/(\S+)", packaged.read_text())]
    assert len(nested) == 6  # the workers' package twice
    (api,) = (template for template in nested if "AWS::ApiGatewayV2::Api" in template)
    definitions = [uploaded(key) for key in re.findall(rf"Location: s3://{bucket}/(\S+)", api)]
    assert [json.loads(text) for text in definitions] == [
        json.loads((documents / name).read_text()) for name in ("openapi-jwt.json", "openapi.json")
    ]
