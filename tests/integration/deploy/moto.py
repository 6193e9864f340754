"""A stand-in for CloudFormation that creates the templates' resources.

It is moto (deploy/tools). It creates resources in memory and checks no permissions. Of a bucket's properties it applies
only encryption; lifecycle, versions, policies and the block on public access are read by cfn-lint and checkov. It does
not support Fn::Cidr, so the network is not deployed here, and it lacks some resource types (UNKNOWN), which are left
out. LocalStack, in the image this stack runs, has no CloudFormation.
"""

import ast
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from harness.machine import ROOT
from harness.waiting import wait_for

REGION = "us-east-1"
#: Resource types that moto cannot create. (It creates parameter groups, but fails on a database that refers to one.)
UNKNOWN = (
    "AWS::ServiceDiscovery::",
    "AWS::ApiGatewayV2::",
    "AWS::ApplicationAutoScaling::",
    "AWS::RDS::DBParameterGroup",
)


@contextmanager
def moto() -> Iterator[Any]:
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


def read(folder: Path, name: str, parameters: dict[str, str]) -> dict[str, Any]:
    """The template NAME as SAM reads it, without what moto does not support and without references to that."""
    done = subprocess.run(
        [ROOT / ".venv-deploy/bin/python", "-c",
         "import json, sys; from samcli.yamlhelper import yaml_parse; json.dump(yaml_parse(sys.stdin.read()), sys.stdout)"],
        input=(folder / "deploy" / f"{name}.yaml").read_text(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    template: dict[str, Any] = json.loads(done.stdout)
    resources = template["Resources"]
    gone = {key for key, resource in resources.items() if resource["Type"].startswith(UNKNOWN)}
    assert len(gone) < len(resources) / 2, (
        "moto does not support most of this template, so this would test nothing"
    )
    for key in gone:
        del resources[key]
    empty = {
        condition
        for condition, rule in template.get("Conditions", {}).items()
        if is_unset(rule, parameters) or all_unset(rule, parameters)
    }
    # (moto has secrets, but does not create them from a template, so their names are used instead)
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


def is_unset(rule: dict[str, Any], parameters: dict[str, str]) -> bool:
    """Whether the condition requires a parameter that is empty."""
    match rule:
        case {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]}:
            return not parameters.get(name)
    return False


def all_unset(rule: dict[str, Any], parameters: dict[str, str]) -> bool:
    """Whether the condition requires one of several parameters, and all of them are empty."""
    match rule:
        case {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", parts]}, ""]}]}:
            return not any(parameters.get(part["Ref"]) for part in parts)
    return False


def without_no_value(value: Any, empty: set[str]) -> Any:
    """Remove AWS::NoValue entries from lists for conditions that are false: moto would leave nulls there."""
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


def deploy(aws: Any, folder: Path, name: str, **parameters: str) -> dict[str, str]:
    """Create a stack from the template NAME; returns its outputs, and the name of each resource by its name in the
    template.
    """
    cloudformation = aws("cloudformation")
    stack = f"{name}-{secrets.token_hex(3)}"
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    cloudformation.create_stack(
        StackName=stack, TemplateBody=json.dumps(read(folder, name, parameters)), Parameters=given
    )
    made = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    assert made["StackStatus"] == "CREATE_COMPLETE"
    resources = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources} | {
        output["OutputKey"]: output["OutputValue"] for output in made.get("Outputs", ())
    }


def containers(aws: Any, made: dict[str, str]) -> dict[str, dict[str, Any]]:
    task = aws("ecs").describe_task_definition(taskDefinition=made["Task"])["taskDefinition"]
    return {container["name"]: container for container in task["containerDefinitions"]}


def pairs(container: dict[str, Any], kind: str, value: str) -> dict[str, str]:
    return {pair["name"]: pair[value] for pair in container.get(kind, ())}


def allowed(aws: Any, made: dict[str, str], role: str, action: str) -> set[str]:
    """The resources on which a role's own policies allow an action."""
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
