"""deploy/fill.py: what it fills into the templates for an application, and that linters find nothing in ours."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.machine import ROOT
from integration.deploy.filled import description, dist, fill

APPLICATIONS = ("documents", "expenses", "seed")
#: Values that are refused: the wrong key, and the end of the error sentence.
WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"worker": {"reads": ["OTHER_BUCKET"]}},
        "reads names OTHER_BUCKET, which is neither a bucket nor a variable",
    ),
    ({"worker": {"environment": {"SIZE": "3"}}}, "the templates have a name Size of their own"),
    ({"worker": {"environment": {"ALARM_MAIL": "x"}}}, "the templates have a name AlarmMail of their own"),
    ({"worker": {"environment": {"A_B": "x", "A__B": "y"}}}, "two variables of the application become AB"),
]


@pytest.fixture(scope="module", params=APPLICATIONS)
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, dist(request.param, tmp_path_factory.mktemp(request.param))


def test_linters_and_the_security_scan_find_nothing(packaged: tuple[str, Path]) -> None:
    folder = packaged[1]
    subprocess.run(["bin/venv", "checkov"], cwd=ROOT, check=True)
    templates = sorted(str(path) for path in (folder / "deploy").glob("*.yaml"))
    assert len(templates) == 6
    checkov = folder / "checkov.yaml"
    checkov.write_text(
        (ROOT / "deploy/.checkov.yaml").read_text().replace("[dist/deploy]", f"[{folder}/deploy]")
    )
    for command in (
        [".venv-deploy/bin/cfn-lint", "--regions", "us-east-1", "--", *templates],
        [".venv-deploy/bin/sam", "validate", "--lint", "--template", f"{folder}/deploy/template.yaml"],
        [".venv-checkov/bin/checkov", "--config-file", str(checkov)],
    ):
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    # (the scan really checked something)
    assert int(re.findall(r"Passed checks: (\d+)", done.stdout)[0]) > 100


def test_a_template_has_what_its_application_has(packaged: tuple[str, Path]) -> None:
    name, folder = packaged
    described = description(name)
    worker = (folder / "deploy/worker.yaml").read_text()
    api = (folder / "deploy/api.yaml").read_text()
    for text, half in ((worker, "worker"), (api, "function")):
        named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text))
        secrets = {n for s in described[half]["secrets"].values() for n in s.get("settings", ())}
        secrets |= {f.upper() for f, s in described[half]["secrets"].items() if "settings" not in s}
        wanted = secrets.union(described["buckets"], described[half]["environment"])
        assert wanted | {"RESONATE_URL", "RESONATE_TOKEN", "WORKER_GROUP"} == named - {"WORKER_CONCURRENCY"}
    # AND an application without a bucket has no permission in S3
    assert ("s3:GetObject" in worker) == bool(described["buckets"])


def test_the_definition_leads_to_the_templates_function(packaged: tuple[str, Path]) -> None:
    name, folder = packaged
    document = json.loads((folder / "openapi.json").read_text())
    assert set(re.findall(r"functions/(\$\{.*?\})", json.dumps(document))) == {"${Function.Arn}"}
    assert document["info"]["title"] == {"Ref": "AWS::StackName"}
    # AND an application without its own routes gets the requests for every path
    assert (list(document["paths"]) == ["/$default"]) == (
        not (ROOT / "apps" / name / "openapi.yaml").exists()
    )
    guarded = json.loads((folder / "openapi-jwt.json").read_text())
    assert {tuple(o["security"][0]) for p in guarded["paths"].values() for o in p.values()} == {("jwt",)}


def test_the_settings_are_the_applications(packaged: tuple[str, Path]) -> None:
    name, folder = packaged
    described = description(name)
    files = {half: (folder / f"deploy/{half}.env").read_text() for half in ("function", "worker")}
    for half, text in files.items():
        lines = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"#?[A-Z_]+=", line))
        for variable, value in (described["buckets"] | described[half]["environment"]).items():
            assert lines[variable if value else f"#{variable}"] == value
    assert f"FUNCTION_NAME={described['name']}" in files["function"].splitlines()
    assert "FUNCTION_NAME" not in files["worker"]
    prod = (folder / "deploy/prod.env").read_text().splitlines()
    assert f"WORKER_TOKEN=resonate_tokens_worker/{described['prefix'].rstrip('/') or '_all'}" in prod
    assert f"WORKER_IMAGE=registry.example.org/durable-lambda/{name}-worker" in prod


@pytest.mark.parametrize(("part", "sentence"), WRONG, ids=[sentence[:20] for _, sentence in WRONG])
def test_what_cannot_be_filled_in_is_one_sentence(
    tmp_path: Path, part: dict[str, Any], sentence: str
) -> None:
    done = fill(description("seed") | part, tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_two_lists_of_buckets_stay_apart(tmp_path: Path) -> None:
    """Each has its own policy, under its own condition, and its own variable."""
    described = description("seed") | {
        "worker": {"environment": {"SCANS": "", "LETTERS": ""}, "reads": ["SCANS", "LETTERS"]},
    }
    assert fill(described, tmp_path).returncode == 0
    worker = (tmp_path / "deploy/worker.yaml").read_text()
    role = worker[worker.index("TaskRole:") : worker.index("  Task:")]
    for mine, other in (("Scans", "Letters"), ("Letters", "Scans")):
        policy = role[role.index(f"- Has{mine}\n") :].split("- Ref: AWS::NoValue")[0]
        assert f"Ref: {mine}" in policy
        assert other not in policy


def test_what_is_deployed_names_no_application() -> None:
    names: set[str] = set()
    for application in map(description, APPLICATIONS):
        names |= {application["name"], *application["buckets"]} - {"seed"}
        for half in ("function", "worker"):
            names |= {*application[half]["environment"], *application[half]["secrets"]}
    for path in (ROOT / "deploy").rglob("*"):
        if path.is_file() and "tools" not in path.parts and path.suffix != ".pyc":
            text = path.read_text()
            # (SOURCE_BUCKETS is deploy/fill.py's example of a name)
            assert [n for n in names if re.search(rf"\b{n}\b", text) and n != "SOURCE_BUCKETS"] == [], path
