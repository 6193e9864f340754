"""The templates, deployed: what a stand-in for CloudFormation makes of them, and what S3 then answers.

The stand-in is moto (deploy/tools). It makes resources in memory and checks no rights. Of a template's buckets it
takes encryption alone; lifecycle, versions, policies and the block on public access are read by cfn-lint and checkov.
It knows no Fn::Cidr, so the network is not deployed here, and some types of resources not at all (UNKNOWN): those are
left out. LocalStack, in the image this stack runs, has no CloudFormation.
"""

import ast
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from harness.engine import docker
from harness.machine import ROOT, found_on_this_machine, image, project_prefix, secret
from harness.waiting import wait_for

REGION = "us-east-1"
#: What moto does not make. (Parameter groups it does, but it stumbles over a database that refers to one.)
UNKNOWN = (
    "AWS::ServiceDiscovery::",
    "AWS::ApiGatewayV2::",
    "AWS::ApplicationAutoScaling::",
    "AWS::RDS::DBParameterGroup",
)


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    """A function that makes boto3 clients of the stand-in."""
    subprocess.run(["bin/venv", "deploy"], cwd=ROOT, check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(ROOT / ".venv-deploy/bin/moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "AWS_DEFAULT_REGION": REGION}
    ) as server:  # fmt: skip

        def client(name: str) -> Any:
            factory: Any = boto3.client
            return factory(
                name,
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )

        try:
            wait_for(lambda: client("s3").list_buckets() is not None, "moto to answer", 60)
            yield client
        finally:
            server.terminate()


def read(name: str, parameters: dict[str, str]) -> dict[str, Any]:
    """deploy/NAME.yaml as SAM reads it, without what moto does not know and without what refers to that."""
    done = subprocess.run(
        [ROOT / ".venv-deploy/bin/python", "-c",
         "import json, sys; from samcli.yamlhelper import yaml_parse; json.dump(yaml_parse(sys.stdin.read()), sys.stdout)"],
        input=(ROOT / "deploy" / f"{name}.yaml").read_text(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    template: dict[str, Any] = json.loads(done.stdout)
    resources = template["Resources"]
    gone = {key for key, resource in resources.items() if resource["Type"].startswith(UNKNOWN)}
    assert len(gone) < len(resources) / 2, "most of it is unknown; this would try nothing"
    for key in gone:
        del resources[key]
    empty = {
        condition
        for condition, rule in template.get("Conditions", {}).items()
        if rule.get("Fn::Not", [{}])[0].get("Fn::Equals")
        in [[{"Ref": p}, ""] for p in template["Parameters"]]
        and not parameters.get(rule["Fn::Not"][0]["Fn::Equals"][0]["Ref"])
    }
    # (it makes secrets, but not from a template: those stand for their names)
    for key in [
        key for key, resource in resources.items() if resource["Type"] == "AWS::SecretsManager::Secret"
    ]:
        del resources[key]
        template["Parameters"][key] = {"Type": "String", "Default": f"arn:aws:secretsmanager:{key}"}
    for resource in resources.values():
        properties = resource["Properties"]
        for key in [key for key, value in properties.items() if refers(value, gone)]:
            del properties[key]
        resource["Properties"] = without_no_value(properties, empty)
    outputs = template["Outputs"]
    template["Outputs"] = {key: value for key, value in outputs.items() if not refers(value, gone)}
    return template


def without_no_value(value: Any, empty: set[str]) -> Any:
    """Lists without what AWS::NoValue takes out of them, for conditions that do not hold: moto leaves nulls there."""
    if isinstance(value, dict):
        return {key: without_no_value(part, empty) for key, part in value.items()}
    if isinstance(value, list):
        return [
            without_no_value(part, empty)
            for part in value
            if not (isinstance(part, dict) and no_value(part.get("Fn::If"), empty))
        ]
    return value


def no_value(choice: Any, empty: set[str]) -> bool:
    return isinstance(choice, list) and choice[0] in empty and choice[2] == {"Ref": "AWS::NoValue"}


def refers(value: Any, names: set[str]) -> bool:
    """Whether it has a Ref, GetAtt or Sub of one of these resources."""
    if isinstance(value, dict):
        return (
            value.get("Ref") in names
            or value.get("Fn::GetAtt", [None])[0] in names
            or any(f"${{{name}}}" in str(value.get("Fn::Sub")) for name in names)
            or any(refers(part, names) for part in value.values())
        )
    return isinstance(value, list) and any(refers(part, names) for part in value)


def deploy(aws: Any, name: str, **parameters: str) -> dict[str, str]:
    """Create a stack of its own from deploy/NAME.yaml; its outputs, and each resource's name under its own in the file."""
    cloudformation = aws("cloudformation")
    stack = f"{name}-{secrets.token_hex(3)}"
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    cloudformation.create_stack(
        StackName=stack, TemplateBody=json.dumps(read(name, parameters)), Parameters=given
    )
    made = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    assert made["StackStatus"] == "CREATE_COMPLETE"
    resources = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources} | {
        output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]
    }


@pytest.fixture(scope="module")
def around(aws: Any) -> dict[str, str]:
    """What the other templates would have made."""
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


def server(aws: Any, around: dict[str, str], **more: str) -> dict[str, str]:
    parameters = around | {
        "Image": "server", "ScraperImage": "agent", "Cpu": "512", "Memory": "1024", "DatabaseClass": "db.t4g.micro",
        "DatabaseGb": "20", "MultiAz": "false", "Namespace": "jobs", "RetryTimeout": "5000",
    }  # fmt: skip
    return deploy(aws, "server", **parameters, **more)


def worker(aws: Any, around: dict[str, str], **more: str) -> dict[str, str]:
    parameters = {key: value for key, value in around.items() if key != "Vpc"} | {
        "Image": "worker", "WorkerGroup": "worker", "ServerUrl": "http://server:8001", "Cpu": "512", "Memory": "2048",
        "Concurrency": "4", "Least": "1", "Most": "4", "Documents": "d", "Work": "w", "Results": "r", "Namespace": "jobs",
        "RetrySeconds": "5", "WebhookSecret": kept(aws, "webhook", "whsec_"),
    }  # fmt: skip
    return deploy(aws, "worker", **parameters, **more)


def containers(aws: Any, made: dict[str, str]) -> dict[str, dict[str, Any]]:
    task = aws("ecs").describe_task_definition(taskDefinition=made["Task"])["taskDefinition"]
    return {container["name"]: container for container in task["containerDefinitions"]}


def pairs(container: dict[str, Any], kind: str, value: str) -> dict[str, str]:
    return {pair["name"]: pair[value] for pair in container.get(kind, ())}


def allowed(aws: Any, made: dict[str, str], role: str, action: str) -> set[str]:
    """What a role's own policies allow an action on."""
    iam = aws("iam")
    found: set[str] = set()
    for policy in iam.list_role_policies(RoleName=made[role])["PolicyNames"]:
        document = iam.get_role_policy(RoleName=made[role], PolicyName=policy)["PolicyDocument"]
        # (moto answers with what a Python dict looks like)
        for statement in ast.literal_eval(document)["Statement"]:
            if statement["Effect"] == "Allow" and action in statement["Action"]:
                resources = statement["Resource"]
                found |= {resources} if isinstance(resources, str) else set(resources)
    return found


@pytest.mark.parametrize("tokens", [False, True], ids=["open", "tokens"])
@pytest.mark.parametrize("service", [server, worker])
def test_a_task_may_read_the_secrets_it_is_given_and_no_other(
    aws: Any, around: dict[str, str], service: Any, tokens: bool
) -> None:
    name = {server: "KeySecret", worker: "TokenSecret"}[service]
    made = service(aws, around, **({name: kept(aws, "mine", "x")} if tokens else {}))
    given = {
        arn
        for container in containers(aws, made).values()
        for arn in pairs(container, "secrets", "valueFrom").values()
    }
    assert len(given) == 1 + tokens
    assert given == allowed(aws, made, "StartRole", "secretsmanager:GetSecretValue")


@pytest.mark.parametrize("more", [(), ("contracts",), ("contracts", "invoices.eu")], ids=len)
def test_the_workers_read_the_buckets_that_are_named_and_no_others(
    aws: Any, around: dict[str, str], more: tuple[str, ...]
) -> None:
    made = worker(aws, around, SourceBuckets=",".join(more))
    own = {f"arn:aws:s3:::{bucket}" for bucket in "dwr"}
    others = {f"arn:*:s3:::{bucket}" for bucket in more}
    assert allowed(aws, made, "TaskRole", "s3:GetObject") == {f"{arn}/*" for arn in own | others}
    assert allowed(aws, made, "TaskRole", "s3:ListBucket") == own | others
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert allowed(aws, made, "TaskRole", action) == {"arn:aws:s3:::w/*", "arn:aws:s3:::r/*"}
    # AND the worker refuses the others itself, by the same list
    variables = pairs(containers(aws, made)["worker"], "environment", "value")
    assert variables["SOURCE_BUCKETS"] == ",".join(("d", *more)) + ("" if more else ",")


def test_a_server_with_a_key_asks_for_tokens(aws: Any, around: dict[str, str]) -> None:
    """The two containers of the task, run: one writes the key down, the other checks tokens with it."""
    made = server(aws, around, KeySecret=kept(aws, "key", secret("resonate_public_key")))
    key, task = (containers(aws, made)[name] for name in ("key", "server"))
    assert task["dependsOn"] == [{"containerName": "key", "condition": "SUCCESS"}]
    (arn,) = pairs(key, "secrets", "valueFrom").values()
    value = aws("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    name = f"{project_prefix()}-itest-{secrets.token_hex(4)}"
    found = image(f"server-{found_on_this_machine()['RESONATE_TARGET']}")
    # (PostgreSQL is another test's)
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

        # THEN who has a token is answered, and nobody else
        assert wait_for(lambda: ask(secret("resonate_token_worker")), "the server to answer", 60) == 404
        assert ask(secret("resonate_token_function")) == 404
        assert ask(None) == 401
        assert ask("nonsense") == 401
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", "--force", name], capture_output=True, check=False)


@pytest.mark.parametrize("token", [False, True], ids=["open", "token"])
def test_the_function_has_a_token_and_a_key_to_hide_it_where_the_server_asks_for_one(
    aws: Any, around: dict[str, str], token: bool
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
    made = deploy(aws, "api", **parameters, **({"TokenSecret": arn} if token else {}))
    function = aws("lambda").get_function_configuration(FunctionName=made["DocumentProcessor"])
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
    # AND it may use the key they are encrypted with, if there is one (moto does not keep it with the function)
    keys = {key["KeyArn"] for key in aws("kms").list_keys()["Keys"] if key["KeyId"] == made.get("TokenKey")}
    assert bool(keys) == token
    assert allowed(aws, made, "FunctionRole", "kms:Decrypt") == keys


def test_storage_is_created_encrypted_and_takes_documents(aws: Any) -> None:
    outputs = deploy(aws, "storage")
    s3 = aws("s3")
    buckets = [outputs[name] for name in ("Documents", "Work", "Results")]
    for bucket in buckets:
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    # AND a document goes in and out
    s3.put_object(Bucket=outputs["Documents"], Key="a.pdf", Body=b"%PDF-")
    assert s3.get_object(Bucket=outputs["Documents"], Key="a.pdf")["Body"].read() == b"%PDF-"


@pytest.mark.skipif(
    shutil.which("aws") is None, reason="the AWS CLI is not on this machine: docs.aws.amazon.com/cli"
)
def test_packaging_uploads_every_template_and_both_definitions(aws: Any, tmp_path: Path) -> None:
    """The command of deploy/stack.sh, by the real AWS CLI."""
    subprocess.run(["make", "package"], cwd=ROOT, capture_output=True, check=True)
    s3, bucket, packaged = aws("s3"), f"packages-{secrets.token_hex(3)}", tmp_path / "packaged.yaml"
    s3.create_bucket(Bucket=bucket)
    subprocess.run(
        ["aws", "cloudformation", "package", "--template-file", "deploy/template.yaml", "--s3-bucket", bucket,
         "--s3-prefix", "jobs", "--output-template-file", str(packaged)],
        cwd=ROOT, capture_output=True, check=True,
        env=os.environ | {"AWS_ENDPOINT_URL": s3.meta.endpoint_url, "AWS_DEFAULT_REGION": REGION,
                          "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
    )  # fmt: skip

    def uploaded(key: str) -> str:
        return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())

    nested = [uploaded(key) for key in re.findall(rf"TemplateURL: \S+/{bucket}/(\S+)", packaged.read_text())]
    assert len(nested) == 6  # the workers' twice
    (api,) = (template for template in nested if "AWS::ApiGatewayV2::Api" in template)
    definitions = [uploaded(key) for key in re.findall(rf"Location: s3://{bucket}/(\S+)", api)]
    assert [json.loads(text) for text in definitions] == [
        json.loads((ROOT / "dist" / name).read_text()) for name in ("openapi-jwt.json", "openapi.json")
    ]
