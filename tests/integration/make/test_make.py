"""The Makefile's targets, run as a new user runs them: in a fresh clone, beside other stacks."""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from harness.clone import Clone
from harness.fixtures import MakeClone
from harness.machine import ROOT
from harness.waiting import wait_for


@pytest.fixture
def clone(make_clone: MakeClone) -> Clone:
    return make_clone()


def test_up_submit_down_up_reset(clone: Clone) -> None:
    # WHEN a newcomer starts it
    up = clone.make("up")
    assert up.returncode == 0, up.stdout
    # THEN it ends with the addresses and a curl that works as printed
    assert "Ready after" in up.stdout
    call = re.search(
        r"curl -s (http://127\.0\.0\.1:\d+)/process-document.*-d '(\{.*?\})'", up.stdout, re.DOTALL
    )
    assert call, up.stdout
    answer = httpx.post(
        f"{call[1]}/process-document", content=call[2], headers={"content-type": "application/json"}
    )
    assert answer.status_code == 202, answer.text
    # AND make submit follows a document to its end
    submit = clone.make("submit")
    assert submit.returncode == 0, submit.stdout
    assert '"status": "done"' in submit.stdout
    # AND make status tells which server holds the jobs
    assert re.search(r"The jobs are with the (official|embedded) server", clone.make("status").stdout)
    # WHEN it is stopped and started again
    assert clone.make("down").returncode == 0
    # (with Compose alone, which also uses what make up detected)
    plain = clone.run("docker", "compose", "up", "--detach", "--wait")
    assert plain.returncode == 0, plain.stdout
    api = re.search(r"HTTP API\s+(http://\S+)", clone.make("status").stdout)
    assert api
    # THEN the job is still known
    wait_for(
        lambda: httpx.get(f"{api[1]}/status/job-001").json()["status"] == "done",
        "job-001 to be done after a restart",
    )
    # WHEN it is reset THEN nothing of it remains
    assert clone.make("reset").returncode == 0
    assert clone.leftovers() == ""


def test_taken_port_is_one_sentence_and_leaves_nothing(clone: Clone) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        up = clone.make("up", API_PORT=port)
    assert up.returncode != 0
    assert f"port {port} on 127.0.0.1 is taken" in up.stdout
    assert "API_PORT" in up.stdout
    assert clone.leftovers() == ""


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"RESONATE_SERVER": "mongodb"},
            "RESONATE_SERVER is 'mongodb'; set it to auto, official or embedded.",
        ),
        ({"API_PORT": "http"}, "API_PORT is 'http', which is no port"),
        ({"RESONATE_STORE": "mysql"}, "RESONATE_STORE is 'mysql'; set it to sqlite or postgres."),
        (
            {"RESONATE_STORE": "postgres", "RESONATE_IMAGE": "none/resonate:0", "REGISTRY": "none"},
            "only the embedded one is available: the image none/resonate:0 is not here and cannot be pulled",
        ),
        (
            {"DOCKER_HOST": "unix:///nowhere/docker.sock"},
            "Engine does not answer at unix:///nowhere/docker.sock",
        ),
        ({"CA_BUNDLE": "/no/such.pem"}, "CA_BUNDLE=/no/such.pem cannot be read"),
        (
            {"PYTHON_IMAGE": "no-such-image:1"},
            "PYTHON_IMAGE=no-such-image:1 is not here and cannot be pulled",
        ),
    ],
)
def test_what_stands_in_the_way_is_one_sentence(
    clone: Clone, settings: dict[str, str], sentence: str
) -> None:
    up = clone.make("up", **settings)
    assert up.returncode != 0
    assert sentence in up.stdout
    assert clone.leftovers() == ""


def shim(folder: Path, name: str, script: str) -> None:
    """A command that replaces the machine's own."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("command", "script", "sentence"),
    [
        (
            "docker",
            "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1",
            "you may not use Docker's socket; add yourself to its group (sudo usermod -aG docker",
        ),
        ("docker", "echo 19.03.15", "Docker Engine 19.03.15 is too old; install 20.10 or newer."),
        ("df", "printf 'Filesystem 1M Used Available\\n/dev/x 9 9 7\\n'", "only 7 MB are free at "),
    ],
    ids=["no-rights", "old-engine", "no-room"],
)
def test_what_the_machine_refuses_is_one_sentence(
    clone: Clone, tmp_path: Path, command: str, script: str, sentence: str
) -> None:
    shim(tmp_path / "shims", command, script)
    for verb in ("doctor", "up"):
        said = clone.make(verb, PATH=f"{tmp_path / 'shims'}:{os.environ['PATH']}", STACK_IMAGES="none-built")
        assert said.returncode != 0, said.stdout
        assert sentence in said.stdout
    assert clone.leftovers() == ""


@pytest.mark.parametrize(
    ("engine", "compose", "chosen"),
    [
        ("20.10.24+dfsg1", "2.26.1-4", "always"),
        ("24.0.9", "v5.0.1", "always"),
        ("25.0.0", "v2.17.3", "always"),
        ("25.0.0", "2.20.2", "starting"),
        ("29.1.2", "v5.0.1", "starting"),
    ],
)
def test_health_checks_are_what_engine_and_compose_can_have(engine: str, compose: str, chosen: str) -> None:
    script = (
        "source bin/lib.sh; source bin/checks.sh; source bin/choose.sh; "
        f"docker() {{ [ $1 = version ] && echo {engine} || echo {compose}; }}; choose_health_checks"
    )
    said = subprocess.run(["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == chosen


def test_either_kind_of_health_checks_is_every_service_s(clone: Clone) -> None:
    for chosen, interval in (("always", "2s"), ("starting", "10s")):
        said = clone.run("docker", "compose", "config", "--format", "json", HEALTH_CHECKS=chosen)
        services = json.loads(said.stdout)["services"]
        assert {service["healthcheck"]["interval"] for service in services.values()} == {interval}
        assert all(
            ("start_interval" in s["healthcheck"]) == (chosen == "starting") for s in services.values()
        )


def test_no_engine_where_we_may_not_install_one_says_what_to_install(clone: Clone, tmp_path: Path) -> None:
    """A machine without docker and apt: all of its other commands are linked."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in reversed(os.environ["PATH"].split(":")):
        for command in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if not command.name.startswith(("docker", "apt", "dpkg")):
                (tools / command.name).unlink(missing_ok=True)
                (tools / command.name).symlink_to(command)
    up = clone.make("up", PATH=str(tools))
    assert up.returncode != 0
    assert "there is no docker command; install Docker Engine 20.10 or newer" in up.stdout


def test_doctor_says_when_the_package_index_does_not_answer(clone: Clone) -> None:
    # The base image must be known, as it is after a first start.
    shutil.copy2(ROOT / ".env", clone.folder / ".env")
    doctor = clone.make("doctor", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert doctor.returncode != 0
    assert "the Python package index does not answer" in doctor.stdout


def test_doctor_changes_nothing(clone: Clone) -> None:
    before = sorted(path for path in clone.folder.rglob("*"))
    doctor = clone.make("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "ok       Docker Engine answers" in doctor.stdout
    assert sorted(path for path in clone.folder.rglob("*")) == before
