"""Damage on a volume is noticed at the next start and reported once, and nothing is answered from it."""

import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from harness.damage import flip_a_bit, unhealthy
from harness.documents import job, submit
from harness.engine import docker
from harness.fixtures import MakeStack
from harness.machine import ROOT, official_server
from harness.stack import Stack
from harness.waiting import wait_for


@pytest.mark.skipif(official_server(), reason="only the embedded server checks for damage")
def test_one_bit_in_the_servers_and_the_gateways_log(make_stack: MakeStack, tmp_path: Path) -> None:
    # GIVEN accepted jobs and events, with nothing to process them
    stack = make_stack(services=["gateway", "localstack"])
    bodies = [job() for _ in range(8)]
    for body in bodies:
        assert submit(stack, body).status_code == 202
    (server,), (gateway,) = stack.containers("server"), stack.containers("gateway")
    # WHEN the server is killed, and one bit of its log has changed at the next start
    docker("kill", "--signal", "KILL", server)
    flip_a_bit(server, "/data/resonate.db-wal")
    docker("start", server)
    wait_for(
        lambda: httpx.get(f"{stack.resonate_url}/health", timeout=2).status_code == 200, "the server to run"
    )
    # THEN it is not ready, stays so, and logs the reason once
    for _ in range(2):
        assert httpx.get(f"{stack.resonate_url}/ready", timeout=5).status_code == 503
    assert unhealthy(server)
    # AND no job is reported as unknown or as safe
    for answer in (
        submit(stack, job()),
        stack.api.get(f"/status/{bodies[0]['jobId']}"),
        stack.api.get("/jobs"),
    ):
        assert answer.status_code == 503, answer.text
        assert "its log says why" in answer.json()["error"]["message"]
        assert "Nothing was lost" not in answer.text
        assert "contract.pdf" not in answer.text
    refused = stack.resonate("promise.get", id=f"doc/{bodies[0]['jobId']}")
    assert refused["head"]["status"] == 500
    assert "is damaged" in refused["data"]
    assert "make restore F=" in refused["data"]
    told = [line for line in stack.logs("server").splitlines() if "is damaged" in line]
    assert len(told) == 1, told
    assert "resonate.db-wal" in told[0]
    # AND no backup is made of it unless it is forced
    file = tmp_path / "kept.tar"
    refused_backup = backup(stack, F=str(file))
    assert refused_backup.returncode != 0
    assert "server is not healthy" in refused_backup.stderr
    assert not file.exists()
    assert backup(stack, F=str(file), ANYWAY="1").returncode == 0
    assert file.exists()
    the_gateways_events(stack, gateway)


def backup(stack: Stack, **settings: str) -> subprocess.CompletedProcess[str]:
    """`make backup` of this copy of the stack."""
    env = os.environ | {"COMPOSE_PROJECT_NAME": stack.project} | settings
    return subprocess.run([ROOT / "bin/backup"], env=env, capture_output=True, text=True, check=False)


def the_gateways_events(stack: Stack, gateway: str) -> None:
    """The same for the events that the gateway has accepted."""
    invoke = f"{stack.lambda_url}/2015-03-31/functions/function/invocations"
    event = {"X-Amz-Invocation-Type": "Event"}
    for _ in range(5):
        assert httpx.post(invoke, content=b"{}", headers=event, timeout=30).status_code == 202
    docker("kill", "--signal", "KILL", gateway)
    flip_a_bit(gateway, "/data/gateway.db-wal")
    docker("start", gateway)
    started = time.monotonic()
    wait_for(
        lambda: httpx.get(f"{stack.lambda_url}/_local/health", timeout=2).status_code, "the gateway to run"
    )
    assert time.monotonic() - started < 30
    health = httpx.get(f"{stack.lambda_url}/_local/health", timeout=5)
    assert health.status_code == 503
    assert "is damaged" in health.text
    refused = httpx.post(invoke, content=b"{}", headers=event, timeout=30)
    assert refused.status_code == 500
    assert "make restore F=" in refused.json()["Message"]
    # Synchronous calls are still answered, because they need no store.
    assert httpx.post(invoke, content=b"{}", timeout=30).status_code == 200
