"""Runs deploy/compose.prod.yaml: server, PostgreSQL, workers, TLS and dumps on a machine of your own."""

import json
import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.application import image_of
from harness.documents import job
from harness.engine import docker, inspect
from harness.events import event_v2
from harness.fixtures import needs_official_server
from harness.machine import ROOT, found_on_this_machine, image, image_prefix, project_prefix, secret
from harness.waiting import wait_for
from integration.deploy.filled import description, fill

pytestmark = needs_official_server
HOST = "resonate.example.org"
#: Seconds until something has happened, on a machine that is busy with other things.
PATIENCE_SECONDS = 180
#: Runs only the function: an event on standard input, the answer on standard output.
INVOKE = """
import json, sys
from lambda_function import lambda_handler
print(json.dumps(lambda_handler(json.load(sys.stdin))))
"""


def restore_command() -> str:
    """The command of docs/deploy.md that restores a dump."""
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"exec backup sh -c '(.*)'", page)
    return str(command)


class Prod:
    """The services of compose.prod.yaml under their own project name, and a function that can reach them."""

    def __init__(self, folder: Path) -> None:
        self.project = f"{project_prefix()}-itest-{secrets.token_hex(4)}"
        found = found_on_this_machine()
        prefix = image_prefix()
        self.settings = {
            "RESONATE_HOST": HOST,
            "IMAGES": prefix,
            "CADDY_IMAGE": f"{prefix}/caddy-of-a-test",
            "LOCALSTACK_IMAGE": image(f"localstack-{found['LOCALSTACK_TARGET']}"),
            "POSTGRES_TARGET": found["POSTGRES_TARGET"],
            "POSTGRES_PASSWORD": "insecuretest",
            "PYTHON_IMAGE": found["PYTHON_IMAGE"],
            "SECRETS_FOLDER": str(ROOT / "secrets" / "own"),
            "WORKER_ENV": str(folder / "worker.env"),
            "WORKER_TOKEN": "resonate_tokens_worker/doc",
            "WORKER_IMAGE": image("documents-worker"),
            "BACKUP_SECONDS": "4",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL_S3": "http://localstack:4566",
        }
        # As a user fills in dist/deploy/worker.env, except the buckets, which have the same names as the stack's.
        assert fill(description("documents"), folder).returncode == 0
        shutil.copy(folder / "deploy" / "worker.env", folder / "worker.env")
        self._file = folder / "prod.env"
        self.set()
        #: The group to which the function sends new jobs.
        self.group = "worker"

    def set(self, **settings: str) -> None:
        """Change settings; what is started from now on has them."""
        self.settings |= settings
        self._file.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))

    def compose(self, *arguments: str) -> str:
        files = ["deploy/compose.prod.yaml", "tests/integration/deploy/prod/compose.yaml"]
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, "--env-file", str(self._file)]
            + [part for file in files for part in ("--file", file)]
            + list(arguments),
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", "--no-trunc", service).split()

    def invoke(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Invoke the function, with its token, as API Gateway would; status and body of its answer."""
        token = ROOT / "secrets" / "own" / "resonate_token_function"
        done = subprocess.run(
            ["docker", "run", "--rm", "--interactive", "--network", f"{self.project}_default",
             "--volume", f"{token}:/token:ro", "--env", "RESONATE_TOKEN_FILE=/token",
             "--env", "RESONATE_URL=http://server:8001", "--env", f"WORKER_GROUP={self.group}",
             "--entrypoint", "python", image_of("lambda"), "-c", INVOKE],
            input=json.dumps(event_v2(method, path, body)), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        answer = json.loads(done.stdout.splitlines()[-1])
        return answer["statusCode"], json.loads(answer["body"])

    def submit(self, **fields: Any) -> str:
        body = job(**fields)
        assert self.invoke("POST", "/process-document", body) == (
            202,
            {"status": "accepted", "jobId": body["jobId"]},
        )
        return str(body["jobId"])

    def until(self, job_id: str, wanted: str) -> None:
        def probe() -> bool:
            return bool(self.invoke("GET", f"/status/{job_id}")[1].get("status") == wanted)

        wait_for(probe, f"{job_id} to be {wanted}", PATIENCE_SECONDS, every=0.5)

    def dumps(self) -> list[str]:
        (container,) = self.containers("backup")
        return docker("exec", container, "sh", "-c", "ls /data").split()


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prod]:
    for verb in ("bin/setup", "bin/build"):
        done = subprocess.run(
            [verb], cwd=ROOT, env=os.environ | {"RESONATE_STORE": "postgres"}, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    running = Prod(tmp_path_factory.mktemp("prod"))
    try:
        running.compose("build", "caddy")
        running.compose("up", "--detach", "--wait", "--wait-timeout", "150")
        yield running
    finally:
        running.compose("down", "--volumes", "--timeout", "2")
        docker("image", "rm", "--force", running.settings["CADDY_IMAGE"])


def test_a_job_goes_all_the_way_and_waits_for_a_person(prod: Prod) -> None:
    waiting = prod.submit(requiresApproval=True)
    prod.until(prod.submit(), "done")
    prod.until(waiting, "awaiting_approval")
    assert prod.invoke("POST", f"/approve/{waiting}", {"approved": True, "approver": "ada"})[0] == 200
    prod.until(waiting, "done")


def test_the_server_is_reached_by_tls_and_answers_nobody_without_a_token(prod: Prod) -> None:
    address = prod.compose("port", "caddy", "443").strip()
    (caddy,) = prod.containers("caddy")
    authority = wait_for(
        lambda: docker("exec", caddy, "sh", "-c", "cat /data/caddy/pki/authorities/local/root.crt"),
        "Caddy's own authority",
    )
    trusting = ssl.create_default_context(cadata=authority)

    def ask(token: str | None) -> int:
        head = {"corrId": "c", "version": "2026-04-01"} | ({"auth": token} if token else {})
        body = {"kind": "promise.get", "head": head, "data": {"id": "doc/unknown"}}
        # The name is sent in SNI and Host, as by a client that found it in DNS.
        answer = httpx.Client(verify=trusting).post(
            f"https://{address}/", json=body, headers={"Host": HOST}, extensions={"sni_hostname": HOST}
        )
        return int(answer.json()["head"]["status"])

    wait_for(lambda: ask(secret("resonate_token_function")) == 404, "an answer over TLS", PATIENCE_SECONDS)
    assert ask(None) == 401
    assert ask("nonsense") == 401


@pytest.mark.timeout(600)
def test_a_dump_brings_back_what_it_held(prod: Prod) -> None:
    # GIVEN a job that waits, and a dump that was begun after it
    waiting = prod.submit(requiresApproval=True)
    prod.until(waiting, "awaiting_approval")
    before = set(prod.dumps())
    # (the first new one may have been started before)
    wait_for(
        lambda: len([n for n in prod.dumps() if n.endswith(".dump") and n not in before]) >= 2,
        "two dumps to be written", PATIENCE_SECONDS,
    )  # fmt: skip
    dump = max(name for name in prod.dumps() if name.endswith(".dump"))
    # WHEN more happens, and then the dump is restored as docs/deploy.md says
    assert prod.invoke("POST", f"/approve/{waiting}", {"approved": True, "approver": "ada"})[0] == 200
    prod.until(waiting, "done")
    later = prod.submit()
    prod.until(later, "done")
    prod.compose("stop", "server", "worker")
    prod.compose("exec", "-T", "backup", "sh", "-c", restore_command().replace("FILE", dump))
    prod.compose("start", "server", "worker")
    # THEN the state is as before: the job waits, and the later one was never sent
    prod.until(waiting, "awaiting_approval")
    assert prod.invoke("GET", f"/status/{later}")[0] == 404
    assert prod.invoke("POST", f"/approve/{waiting}", {"approved": True, "approver": "ada"})[0] == 200
    prod.until(waiting, "done")


@pytest.mark.timeout(600)
def test_old_jobs_end_with_the_workers_of_their_group(prod: Prod) -> None:
    """As docs/deploy.md says for a new version of the workflow: first its workers beside the old ones, then the
    function.
    """
    old = prod.submit(requiresApproval=True)
    prod.until(old, "awaiting_approval")
    try:
        prod.set(WORKER_GROUP="worker-2", PREVIOUS_WORKER_GROUP="worker")
        prod.compose("--profile", "previous", "up", "--detach", "--wait", "--wait-timeout", "150")
        prod.group = "worker-2"
        new = prod.submit()
        prod.until(new, "done")
        # (listing needs the operator's token)
        operator = f"RESONATE_TOKEN={secret('resonate_token_operator')}"
        said = prod.compose(
            "exec", "-T", "--env", operator, "worker", "python", "-m", "durable_lambda.worker.open_jobs"
        )
        assert json.loads(said) == {"worker": [old]}
        assert prod.invoke("POST", f"/approve/{old}", {"approved": True, "approver": "ada"})[0] == 200
        prod.until(old, "done")
        logs = {service: prod.compose("logs", service) for service in ("worker", "previous-worker")}
        assert [service for service in logs if new in logs[service]] == ["worker"]
        assert f'"job": "{old}"' in logs["previous-worker"]
        prod.compose("--profile", "previous", "rm", "--stop", "--force", "previous-worker")
        assert prod.containers("previous-worker") == []
    finally:
        prod.set(WORKER_GROUP="worker")
        prod.group = "worker"
        prod.compose("up", "--detach", "--wait", "--wait-timeout", "150")


@pytest.mark.timeout(600)
def test_everything_starts_again_by_itself(prod: Prod) -> None:
    """As after a power failure: every process dies at once, and nobody starts them."""
    waiting = prod.submit(requiresApproval=True)
    prod.until(waiting, "awaiting_approval")
    killed = {
        container: inspect(container)["State"]
        for service in ("postgres", "server", "worker", "caddy", "backup")
        for container in prod.containers(service)
    }
    for state in killed.values():
        os.kill(state["Pid"], signal.SIGKILL)
    for container, state in killed.items():
        wait_for(
            lambda c=container, s=state: inspect(c)["State"]["StartedAt"] > s["StartedAt"],  # type: ignore[misc]
            "its restart", PATIENCE_SECONDS,
        )  # fmt: skip
    prod.until(waiting, "awaiting_approval")
    assert prod.invoke("POST", f"/approve/{waiting}", {"approved": True, "approver": "ada"})[0] == 200
    prod.until(waiting, "done")
    prod.until(prod.submit(), "done")
