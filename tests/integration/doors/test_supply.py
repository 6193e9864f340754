"""The contents of the images are known: pinned versions, locked hashes, and a bill of materials that lists everything."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine import docker
from harness.machine import ROOT, image

#: The lock files of everything that is built or installed: the images, the applications, the tools, the tests.
LOCKS = sorted(
    lock
    for lock in ROOT.glob("**/*requirements*.lock")
    if not any(part.startswith(".") for part in lock.relative_to(ROOT).parts)
)


def pinned(lock: Path) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_every_dependency_is_pinned_with_hashes_and_no_index_is_named(lock: Path) -> None:
    text = lock.read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if entry and not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.partition("\n")[0]
    assert "://" not in "".join(line for line in text.splitlines(True) if not line.lstrip().startswith("#"))


def test_the_bill_of_materials_names_every_locked_distribution_with_its_licence(tmp_path: Path) -> None:
    gateway = image("gateway")
    target = tmp_path / "gateway.cdx.json"
    container = docker("create", gateway).strip()
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as tree:
            command = [sys.executable, "-W", "error", "bin/sbom.py", gateway, "sha256:0", str(target)]
            subprocess.run(command, cwd=ROOT, stdin=tree.stdout, check=True, timeout=240)
    finally:
        docker("rm", "--volumes", container)
    components = json.loads(target.read_text())["components"]
    python = {
        c["purl"].split("/")[-1].split("@")[0]: c for c in components if "pkg:pypi/" in c.get("purl", "")
    }
    for name, version in pinned(ROOT / "images/gateway/requirements.lock").items():
        if name in python:
            assert python[name]["version"] == version
            assert python[name]["licenses"], name
    assert {"aiohttp", "pyjwt", "cryptography", "pyyaml"} <= set(python)
    assert any("pkg:deb/debian/openssl" in c.get("purl", "") or "libssl" in c["name"] for c in components)
