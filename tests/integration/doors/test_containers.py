"""What a container may do, and which services it can reach."""

import json
from typing import Any

import pytest

from harness.engine import docker, inspect
from harness.machine import ROOT
from harness.stack import SERVICES, Stack

#: Which names each service can look up: the gateway reaches the environments and nothing behind them.
REACHES = {
    "gateway": {"lambda"},
    "lambda": {"gateway", "server", "worker", "localstack"},
    "server": {"lambda", "worker", "localstack"},
    "worker": {"lambda", "server", "localstack"},
    "localstack": {"lambda", "server", "worker"},
}
LOOK_UP = """
import json, socket, sys
found = []
for name in sys.argv[1:]:
    try:
        socket.gethostbyname(name)
        found.append(name)
    except OSError:
        pass
print(json.dumps(found))
"""


def containers(stack: Stack) -> list[tuple[str, dict[str, Any]]]:
    return [(service, inspect(found)) for service in SERVICES for found in stack.containers(service)]


def test_no_container_can_do_more_than_it_must(stack: Stack) -> None:
    """Non-root, no capabilities, no new privileges, a root file system that is read only, and limits."""
    for service, container in containers(stack):
        host = container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] not in ("", "0", "root"), service
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"]), service
        assert not host["Privileged"], service
        assert 0 < host["PidsLimit"] <= 1024, service
        assert 0 < host["Memory"] == host["MemorySwap"], service
        assert host["NanoCpus"] > 0, service


def test_nobody_holds_dockers_socket_or_a_folder_of_the_host(stack: Stack) -> None:
    """Exceptions, read-only: its secrets, and the application's staged files (its routes, its samples)."""
    staged = str(ROOT / ".state/apps") + "/"
    for service, container in containers(stack):
        for mount in container["Mounts"]:
            assert "docker.sock" not in mount["Source"], service
            is_secret = mount["Destination"].startswith("/run/secrets/")
            is_staged = mount["Source"].startswith(staged)
            assert mount["Type"] == "volume" or (not mount["RW"] and (is_secret or is_staged)), (
                service,
                mount,
            )


def test_root_is_nobody_inside(stack: Stack) -> None:
    """Checks not only the image's setting: the processes themselves run as another user, without capabilities."""
    for service, container in containers(stack):
        said = docker("exec", container["Id"], "python", "-c", "print(open('/proc/1/status').read())")
        fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        assert "0" not in fields["Uid"].split(), service
        assert int(fields["CapEff"], 16) == 0, service
        assert fields["NoNewPrivs"].strip() == "1", service


@pytest.mark.parametrize("service", SERVICES)
def test_networks_let_through_only_what_must_pass(stack: Stack, service: str) -> None:
    others = sorted(set(SERVICES) - {service})
    container = stack.containers(service)[0]
    found = json.loads(docker("exec", container, "python", "-c", LOOK_UP, *others))
    assert set(found) == REACHES[service]


def test_every_port_is_on_loopback_only(stack: Stack) -> None:
    for service, container in containers(stack):
        for bindings in container["NetworkSettings"]["Ports"].values():
            for binding in bindings or []:
                assert binding["HostIp"] == "127.0.0.1", (service, binding)
