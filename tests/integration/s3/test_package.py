"""The plugin as it would be published: built from its source archive, into a LocalStack that lacks it."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.engine import docker
from harness.machine import ROOT

from .conftest import S3

#: Loads the provider as LocalStack does, from the wheel unpacked at /plugin.
LOAD = """
import sys
from importlib.metadata import entry_points
import localstack_s3_durable
found, = [e for e in entry_points(group="localstack.aws.provider") if e.name == "s3:durable"]
assert found.dist.locate_file("").as_posix() == "/plugin", found.dist.locate_file("")
assert localstack_s3_durable.__file__.startswith("/plugin/"), localstack_s3_durable.__file__
service = found.load().factory().load()
service.skeleton
"""


def build(*words: str) -> None:
    """Build with uv's own backend, which asks no index."""
    uv = ROOT / ".venv/bin/uv"
    offline = ("--no-config", "--offline", "--no-python-downloads", "--python", sys.executable)
    done = subprocess.run([uv, "build", *offline, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked source archive (`source`) and the unpacked wheel made from it (`wheel`)."""
    folder = tmp_path_factory.mktemp("package")
    build("--sdist", "--out-dir", str(folder), str(ROOT / "localstack/plugin"))
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    (folder / archive.name.removesuffix(".tar.gz")).rename(folder / "source")
    build("--wheel", "--out-dir", str(folder), str(folder / "source"))
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "wheel")  # noqa: S202 - made a moment ago, of our own files
    return folder


def test_the_wheel_loads_into_localstack(s3: S3, built: Path) -> None:
    image = docker("inspect", "--format", "{{.Config.Image}}", s3.container).strip()
    docker(
        *("run", "--rm", "--entrypoint", "python", "--volume", f"{built / 'wheel'}:/plugin:ro"),
        *("--env", "PYTHONPATH=/plugin", "--env", "S3_DURABLE_DIR=/tmp/s3"),
        *("--env", "PYTHONDONTWRITEBYTECODE=1", image, "-c", LOAD),
    )


def test_it_carries_its_licence_and_its_types(built: Path) -> None:
    (information,) = (built / "wheel").glob("*.dist-info")
    about = (information / "METADATA").read_text()
    assert "License-Expression: Apache-2.0" in about
    assert "License-File: LICENSE" in about
    assert "Apache License" in (information / "licenses/LICENSE").read_text()
    assert (built / "wheel/localstack_s3_durable/py.typed").exists()
    assert "Apache License" in (built / "source/LICENSE").read_text()


def test_it_names_nothing_of_the_stack_but_the_package_that_it_needs(built: Path) -> None:
    ours = re.compile(
        r"durable.lambda|resonate|gateway|\bworker\b|compose\.yaml|make (reset|itest)", re.IGNORECASE
    )
    for path in (built / "source").rglob("*"):
        if path.is_file() and path.name != "LICENSE":
            text = path.read_text().replace("durable-lambda-shared", "")
            assert not (found := ours.search(text)), f"{path.name}: {found}"
