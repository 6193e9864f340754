"""The templates as `make package` fills them in for an application, without building its images."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from harness.machine import ROOT


def description(application: str) -> dict[str, Any]:
    """The parts of dist/application.json that deploy/fill.py needs, for apps/NAME. (test_package.py compares the
    result.)
    """
    content = tomllib.loads((ROOT / "apps" / application / "pyproject.toml").read_text())
    table = content["tool"]["durable-lambda"]

    def half(name: str, *more: str) -> dict[str, Any]:
        part = table.get(name, {})
        return {
            "environment": table.get("environment", {}) | part.get("environment", {}),
            "secrets": part.get("secrets", {}),
            **{key: part[key] for key in more if key in part},
        }

    return {
        "name": table["name"],
        "project": content["project"]["name"],
        "prefix": table.get("promise-prefix", ""),
        "buckets": table.get("buckets", {}),
        "function": half("function"),
        "worker": half("worker", "reads"),
    }


def run(script: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """A script of deploy/, on the Python of the deployment's tools."""
    subprocess.run(["bin/venv", "deploy"], cwd=ROOT, check=True)
    return subprocess.run(
        [str(ROOT / ".venv-deploy/bin/python"), str(ROOT / "deploy" / script), *arguments],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip


def fill(described: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Fills in the templates in FOLDER/deploy; the API definitions are placed beside them, as in dist/."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "application.json").write_text(json.dumps(described))
    return run("fill.py", str(folder / "application.json"), str(folder / "deploy"))


def dist(application: str, folder: Path, **changes: Any) -> Path:
    """A folder with an application's part of dist/ except the packages: templates and definitions. `changes` replace keys
    of its description.
    """
    done = fill(description(application) | changes, folder)
    assert done.returncode == 0, done.stderr
    openapi = ROOT / "apps" / application / "openapi.yaml"
    document = openapi.read_text() if openapi.exists() else ""
    for name, options in (("openapi.json", ()), ("openapi-jwt.json", ("--jwt",))):
        made = run("definition.py", *options, text=document)
        assert made.returncode == 0, made.stderr
        (folder / name).write_text(made.stdout)
    return folder
