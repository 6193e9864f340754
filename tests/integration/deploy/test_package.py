"""make package: what is in dist/, and that the stack runs from each package."""

import json
import os
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from harness.documents import accepted, wait_until
from harness.engine import docker
from harness.fixtures import MakeStack
from harness.machine import ROOT, found_on_this_machine, image
from harness.packages import digests, unpacked
from harness.stack import Stack
from integration.deploy.filled import description, fill

DIST = ROOT / "dist"
#: ELF's e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
PROCESSORS = {"": 0x3E, "-arm64": 0xB7}


@pytest.fixture(scope="module")
def made() -> str:
    """The output of make package, which starts with an empty dist/."""
    return _make("package")


def _make(*arguments: str) -> str:
    done = subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def entries(name: str) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(DIST / name) as archive:
        return archive.infolist()


def test_every_package_is_there_within_the_limits(made: str) -> None:
    for suffix in PROCESSORS:
        for name in (f"lambda-package{suffix}.zip", f"layer{suffix}.zip", "lambda-function.zip"):
            assert (DIST / name).stat().st_size < 50 * 2**20
            assert sum(entry.file_size for entry in entries(name)) < 250 * 2**20
    assert "for x86_64 and arm64" in made


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("suffix", PROCESSORS)
def test_compiled_modules_are_for_that_processor(suffix: str) -> None:
    with zipfile.ZipFile(DIST / f"lambda-package{suffix}.zip") as archive:
        modules = [name for name in archive.namelist() if name.endswith(".so")]
        assert len(modules) > 5
        for name in modules:
            header = archive.read(name)[:20]
            assert header[:4] == b"\x7fELF"
            assert struct.unpack("<H", header[18:20])[0] == PROCESSORS[suffix], name


@pytest.mark.usefixtures("made")
def test_packages_hold_no_bytecode_no_boto3_one_date_and_one_mode() -> None:
    for name in ("lambda-package.zip", "layer.zip", "lambda-function.zip"):
        found = entries(name)
        names = [entry.filename for entry in found]
        assert names == sorted(names)
        assert not [n for n in names if n.endswith(".pyc") or "boto" in n.split("/")[0] or "RECORD" in n]
        assert {entry.date_time for entry in found} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in found} == {0o100644}


@pytest.mark.usefixtures("made")
def test_the_guarded_definition_is_the_open_one_with_an_authorizer_on_every_route() -> None:
    bare, guarded = (json.loads((DIST / f"openapi{kind}.json").read_text()) for kind in ("", "-jwt"))
    operations = [operation for path in guarded["paths"].values() for operation in path.values()]
    assert len(operations) == 6
    assert [operation.pop("security") for operation in operations] == [[{"jwt": []}]] * len(operations)
    assert set(guarded["components"].pop("securitySchemes")) == {"jwt"}
    assert guarded == bare


@pytest.mark.usefixtures("made")
def test_the_templates_are_filled_in_for_the_application(tmp_path: Path) -> None:
    assert fill(description("documents"), tmp_path).returncode == 0
    names = sorted(path.name for path in (tmp_path / "deploy").iterdir())
    assert sorted(path.name for path in (DIST / "deploy").iterdir()) == names
    for name in names:
        assert (DIST / "deploy" / name).read_bytes() == (tmp_path / "deploy" / name).read_bytes(), name


@pytest.mark.usefixtures("made")
def test_made_again_from_nothing_it_has_the_same_hash(tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in DIST.glob("*.zip")}
    # Packed again in another container, from files with other dates: neither the builder's cache nor its clock matters.
    with zipfile.ZipFile(DIST / "layer.zip") as archive:
        archive.extractall(tmp_path)
    with zipfile.ZipFile(DIST / "lambda-function.zip") as archive:
        archive.extractall(tmp_path / "function")
    python = found_on_this_machine()["PYTHON_IMAGE"]
    script = "/packaging/packages.py"
    docker(
        "run", "--rm", "-v", f"{ROOT}/images/lambda/packaging:/packaging:ro", "-v", f"{tmp_path}:/w",
        python, "python3", script, "make", "/w/function", "/w/python", "/w/out",
    )  # fmt: skip
    for name in ("lambda-package.zip", "layer.zip", "lambda-function.zip"):
        assert (tmp_path / "out" / name).read_bytes() == before[name], name


@pytest.fixture(params=["image", "zip", "layer"])
def running(request: pytest.FixtureRequest, made: str, make_stack: MakeStack) -> tuple[str, Stack]:
    """The stack on one of the three artefacts."""
    assert made
    return request.param, make_stack(env={"LAMBDA_FROM": request.param})


def test_stack_runs_on_that_very_artefact(running: tuple[str, Stack]) -> None:
    kind, stack = running
    # WHEN a document is processed completely
    job_id = accepted(stack)
    wait_until(stack, job_id, "done")
    # THEN the files where Lambda unpacks the package are byte for byte those in dist/
    roots = {"image": {"lambda-package.zip": "/var/task"}, "zip": {"lambda-package.zip": "/var/task"}}.get(
        kind, {"lambda-function.zip": "/var/task", "layer.zip": "/opt"}
    )
    container = stack.containers("lambda")[0]
    for name, root in roots.items():
        assert unpacked(container, root) == digests(DIST / name)
    # AND the function imports its dependencies from there
    where = stack.compose("exec", "-T", "lambda", "python", "-c", "import resonate; print(resonate.__file__)")
    assert where.startswith("/opt/python/" if kind == "layer" else "/var/task/")


def test_container_image_answers_an_invocation_by_itself(made: str) -> None:
    """The image as AWS runs it: its entry point is the runtime interface client, its command the handler."""
    assert made
    name = image("documents-function")
    assert docker("image", "inspect", "--format", "{{.Config.Entrypoint}} {{.Config.Cmd}}", name).strip() == (
        "[python -m awslambdaric] [lambda_function.lambda_handler]"
    )
    said = docker(
        "run", "--rm", "--network", "none", "--entrypoint", "python", name, "-c",
        "import awslambdaric, lambda_function; print(lambda_function.lambda_handler.__name__)",
    )  # fmt: skip
    assert said.strip() == "lambda_handler"


def test_an_unknown_artefact_is_one_sentence() -> None:
    done = subprocess.run(
        ["bin/application"], cwd=ROOT, env={**os.environ, "LAMBDA_FROM": "jar"}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode != 0
    assert "LAMBDA_FROM is 'jar'; set it to image, zip or layer." in done.stderr
