"""Which files of an application are staged, and that an edit changes only the half it belongs to."""

import json
import re
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from applications import folder, locks, staging
from conftest import Application


@pytest.fixture
def target(tmp_path: Path) -> Path:
    place = tmp_path / "staged"
    place.mkdir()
    return place


def stage(application: Application, library: Path, target: Path) -> None:
    made = {}
    for half in ("function", "worker"):
        made[half] = target.parent / f"{half}.lock"
        made[half].write_text(f"# lock of {half}\n")
    staging.stage(folder.read(application.path, "my/app"), library, made, target, "./.state/apps/x")


def names(folder: Path) -> set[str]:
    """The files in a folder, bytecode left out."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if not name.endswith(".pyc")}


def test_each_half_gets_its_files_and_the_library_it_names(
    application: Application, library: Path, target: Path
) -> None:
    for name in ("api/jobs.py", "steps/a.py", "workflow.py", "tests/unit/test_a.py", "docs/a.md", "README.md",
                 ".env", "requirements-worker.lock", "__pycache__/a.pyc", "env/pyvenv.cfg", "env/lib/big.py",
                 "data/docs/kept.txt"):  # fmt: skip
        application.write(name, "")
    application.declare('function.exclude = ["steps", "work*.py"]\nworker.exclude = ["api/"]\n')
    stage(application, library, target)
    assert names(target / "function") == {
        "requirements.lock",
        "task/lambda_function.py",
        "task/pyproject.toml",
        "task/api/jobs.py",
        "task/data/docs/kept.txt",
        "task/durable_lambda/__init__.py",
    }
    assert names(target / "worker") == {
        "requirements.lock",
        "app/worker.py",
        "app/workflow.py",
        "app/pyproject.toml",
        "app/steps/a.py",
        "app/data/docs/kept.txt",
    }


def test_an_edit_leaves_the_other_half_untouched(
    application: Application, library: Path, target: Path
) -> None:
    application.write("steps/a.py", "1")
    application.declare('function.exclude = ["steps"]\n')
    stage(application, library, target)
    before = {name: (target / name).stat().st_ino for name in names(target)}
    digests = dict(line.split() for line in (target / "built-from").read_text().splitlines())
    application.write("steps/a.py", "2")
    stage(application, library, target)
    changed = {name for name in names(target) if (target / name).stat().st_ino != before[name]}
    assert changed == {"worker/app/steps/a.py", "built-from"}
    again = dict(line.split() for line in (target / "built-from").read_text().splitlines())
    assert again["function"] == digests["function"]
    assert again["worker"] != digests["worker"]


def test_what_is_gone_from_the_folder_is_gone_from_the_stage(
    application: Application, library: Path, target: Path
) -> None:
    application.write("old/a.py", "")
    application.write("openapi.yaml", "paths: {}")
    stage(application, library, target)
    assert (target / "gateway/openapi.yaml").is_file()
    (application.path / "old/a.py").unlink()
    (application.path / "old").rmdir()
    (application.path / "openapi.yaml").unlink()
    # A file where a folder was.
    application.write("old", "")
    stage(application, library, target)
    assert (target / "worker/app/old").is_file()
    assert not (target / "gateway/openapi.yaml").exists()


def test_staged_files_are_readable_for_the_containers_users(
    application: Application, library: Path, target: Path
) -> None:
    application.write("private.txt", "").chmod(0o600)
    stage(application, library, target)
    assert (target / "worker/app/private.txt").stat().st_mode & 0o777 == 0o644
    assert (target / "worker/app").stat().st_mode & 0o777 == 0o755


def test_a_link_is_copied_as_what_it_leads_to(application: Application, library: Path, target: Path) -> None:
    application.write("data/a.txt", "text")
    (application.path / "b.txt").symlink_to("data/a.txt")
    (application.path / "more").symlink_to("data")
    stage(application, library, target)
    for name in ("b.txt", "more/a.txt"):
        staged = target / "function/task" / name
        assert staged.read_text() == "text"
        assert not staged.is_symlink()


def test_the_compose_file_carries_what_is_declared(
    application: Application, library: Path, target: Path
) -> None:
    application.write("openapi.yaml", "paths: {}")
    application.declare(
        'promise-prefix = "doc/"\nbuckets.NOTES = "notes"\n'
        'environment.BOTH = "a$b"\nfunction.environment.OWN = ""\n'
        'worker.secrets.key = { setting = "KEY", random = "k_" }\nworker.secrets.keys = { settings = ["A", "B"] }\n'
    )
    stage(application, library, target)
    text = (target / "compose.yaml").read_text()
    assert text.count('NOTES: "${NOTES:-notes}"') == 2
    assert text.count('BOTH: "${BOTH:-a$$b}"') == 2
    # A variable without a default is passed on only if it is set.
    assert len(re.findall(r"^ +OWN:$", text, re.MULTILINE)) == 1
    assert 'BUCKETS: "notes=${NOTES:-notes}"' in text
    assert "resonate_tokens_worker/doc" in text
    assert '{"source": "worker_key", "target": "key"}' in text
    assert "API_OPENAPI" in text
    assert (target / "secrets").read_text() == "worker\tkey\trandom\tk_\tKEY\nworker\tkeys\tlines\t-\tA\tB\n"
    assert (target / "images").read_text() == "plain-thing-function-$LAMBDA_FROM\nplain-thing-worker\n"
    said = json.loads((target / "application.json").read_text())
    assert said["prefix"] == "doc/"
    assert said["function"]["environment"] == {"BOTH": "a$b", "OWN": ""}
    assert said["worker"]["secrets"]["keys"] == {"settings": ["A", "B"]}


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (lambda text: text, False),
        (lambda text: text.replace('version = "0.1.0"', 'version = "0.2.0"'), False),
        (lambda text: text.replace('name = "plain"', 'name = "other"'), False),
        (lambda text: text.replace("==0.8.1", "==0.8.2"), True),
        (lambda text: text.replace("dependencies = []", 'dependencies = ["pydantic"]'), True),
    ],
)
def test_a_lock_is_stale_when_dependencies_have_changed(
    application: Application, library: Path, change: object, stale: bool
) -> None:
    lock = application.path / "requirements-worker.lock"
    document = folder.read(application.path, "my/app").document
    wanted = locks.digest(document, "worker", library)
    assert locks.state(lock, wanted) == "missing"
    lock.write_text(f"# resolved from {wanted}\n")
    assert locks.state(lock, wanted) == "fresh"
    project = application.path / "pyproject.toml"
    assert callable(change)
    project.write_text(change(project.read_text()))
    document = folder.read(application.path, "my/app").document
    assert locks.state(lock, locks.digest(document, "worker", library)) == ("stale" if stale else "fresh")


def test_a_lock_is_stale_when_the_library_s_dependencies_have_changed(
    application: Application, library: Path
) -> None:
    document = folder.read(application.path, "my/app").document
    before = locks.digest(document, "worker", library)
    (library / "pyproject.toml").write_text(
        '[project]\nname = "durable-lambda"\ndependencies = ["pydantic>=2"]\n'
    )
    assert locks.digest(document, "worker", library) != before


@pytest.mark.parametrize(
    ("requirement", "stale"),
    [
        ("durable-lambda[function]>=0.1", True),
        ("durable_lambda <1", True),
        ("durable-lambda[function]", False),
        ("durable-lambda-extras>=1", False),
    ],
)
def test_a_new_version_of_the_library_counts_where_the_application_says_which_it_takes(
    application: Application, library: Path, requirement: str, stale: bool
) -> None:
    project = application.path / "pyproject.toml"
    project.write_text(project.read_text().replace("durable-lambda[function]>=0.1", requirement))
    document = folder.read(application.path, "my/app").document
    before = locks.digest(document, "worker", library)
    (library / "src/durable_lambda/__init__.py").write_text('__version__ = "0.2.0"\n')
    assert (locks.digest(document, "worker", library) != before) is stale


def test_a_worker_has_its_bytecode_which_follows_the_source(
    application: Application, library: Path, target: Path
) -> None:
    application.write("steps/one.py", "VALUE = 1\n")
    stage(application, library, target)
    cached = Path(cache_from_source(str(target / "worker/app/steps/one.py")))
    first = cached.read_bytes()
    assert b"/app/steps/one.py" in first
    assert not (target / "function/task/steps/__pycache__").exists()
    # The same source keeps its bytecode; another one has another; what cannot be compiled or is gone has none.
    stage(application, library, target)
    assert cached.read_bytes() == first
    application.write("steps/one.py", "VALUE = 2\n")
    stage(application, library, target)
    assert cached.read_bytes() != first
    application.write("steps/one.py", "VALUE =\n")
    stage(application, library, target)
    assert not cached.exists()
    (application.path / "steps/one.py").unlink()
    stage(application, library, target)
    assert not (target / "worker/app/steps").exists()
