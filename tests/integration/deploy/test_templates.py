"""The templates, deployed: what a stand-in for CloudFormation makes of them, and what S3 then answers.

The stand-in is moto (deploy/tools). It makes resources in memory and checks no rights. Of a template's buckets it
takes encryption alone; lifecycle, versions, policies and the block on public access are read by cfn-lint and checkov.
It knows no Fn::Cidr, so the network is not deployed here. LocalStack, in the image this stack runs, has no CloudFormation.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from harness.stack import ROOT
from harness.waiting import wait_for

REGION = "us-east-1"


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


def deploy(aws: Any, name: str) -> dict[str, str]:
    """Create a stack from deploy/NAME.yaml; its outputs."""
    cloudformation = aws("cloudformation")
    template = (ROOT / "deploy" / f"{name}.yaml").read_text()
    cloudformation.create_stack(StackName=name, TemplateBody=template)
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_storage_is_created_encrypted_and_takes_documents(aws: Any) -> None:
    outputs = deploy(aws, "storage")
    s3 = aws("s3")
    assert set(outputs) == {"Documents", "Work", "Results"}
    for bucket in outputs.values():
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    # AND a document goes in and out
    s3.put_object(Bucket=outputs["Documents"], Key="a.pdf", Body=b"%PDF-")
    assert s3.get_object(Bucket=outputs["Documents"], Key="a.pdf")["Body"].read() == b"%PDF-"
