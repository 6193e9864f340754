"""An error in an application's folder is reported in one sentence, with file and key, before anything starts."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clone import Clone, cloned
from integration.apps import orders

pytestmark = pytest.mark.timeout(900)
TOML = "pyproject.toml"
TABLE = "[tool.durable-lambda]\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with cloned(tmp_path_factory.mktemp("stack") / "clone") as made:
        yield made


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def file(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return write


def pyproject(old: str, new: str) -> Callable[[Path], None]:
    """Change the pyproject.toml, in which `old` must stand."""

    def change(folder: Path) -> None:
        path = folder / "pyproject.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def every(old: str, new: str) -> Callable[[Path], None]:
    """As `pyproject`, wherever it stands."""

    def change(folder: Path) -> None:
        path = folder / "pyproject.toml"
        path.write_text(path.read_text().replace(old, new))

    return change


def more(text: str) -> Callable[[Path], None]:
    return pyproject(TABLE, f"{text}\n{TABLE}")


#: How a good folder is changed, and the words that the error line must contain.
WRONG: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no worker.py": (without("worker.py"), ["worker.py", "missing"]),
    "no lambda_function.py": (without("lambda_function.py"), ["lambda_function.py", "missing"]),
    "no pyproject.toml": (without(TOML), [TOML, "missing"]),
    "no lambda_handler": (file("lambda_function.py", "def handler(event): ...\n"), ["lambda_function.py", "lambda_handler"]),
    "a function that is no Python": (file("lambda_function.py", "def lambda_handler(:\n"), ["lambda_function.py", "line 1"]),
    "a worker that is no Python": (file("worker.py", "\nimport\n"), ["worker.py", "line 2"]),
    "no TOML": (file("pyproject.toml", "[tool\n"), [TOML, "TOML"]),
    "no table": (every("tool.durable-lambda", "tool.other"), [TOML, "[tool.durable-lambda]"]),
    "no name": (pyproject('name = "orders"\npromise', "promise"), [TOML, "[tool.durable-lambda] name"]),
    "a name that Lambda does not take": (
        pyproject('name = "orders"\npromise', 'name = "my orders!"\npromise'), [TOML, "name", "my orders!"],
    ),
    "an unknown key": (pyproject('promise-prefix = "order/"', 'promise_prefix = "order/"'), [TOML, "promise_prefix"]),
    "an unknown key in a table": (more("[tool.durable-lambda.function]\nexlude = []\n"), [TOML, "function.exlude"]),
    "what is excluded is not there": (
        more('[tool.durable-lambda.function]\nexclude = ["stepps"]\n'), [TOML, "function.exclude", "stepps"],
    ),
    "a prefix with a colon": (pyproject('"order/"', '"order:1/"'), [TOML, "promise-prefix", "order:1/"]),
    "a prefix without a slash": (pyproject('"order/"', '"order"'), [TOML, "promise-prefix"]),
    "a prefix that is a number": (pyproject('"order/"', "7"), [TOML, "promise-prefix"]),
    "buckets that are no table": (pyproject('promise-prefix = "order/"', 'buckets = "orders"'), [TOML, "buckets"]),
    "a bucket that S3 does not take": (
        more('[tool.durable-lambda.buckets]\nORDERS_BUCKET = "My_Orders"\n'), [TOML, "ORDERS_BUCKET", "My_Orders"],
    ),
    "a variable that is a number": (pyproject('PACK_SECONDS = "4"', "PACK_SECONDS = 4"), [TOML, "PACK_SECONDS"]),
    "a variable of the stack": (pyproject("PACK_SECONDS", "RESONATE_URL"), [TOML, "RESONATE_URL"]),
    "a secret of no kind": (
        more("[tool.durable-lambda.worker.secrets]\nkey = { from = 'KEY' }\n"), [TOML, "worker.secrets.key"],
    ),
    "samples for a bucket that is not declared": (file("samples/pictures/a.txt", "a"), ["samples/pictures", "buckets"]),
    "a call without a method": (pyproject('"POST /orders"', '"/orders"'), [TOML, "submit.call"]),
    "another library": (pyproject('["durable-lambda"]', '["durable-lambda>=99"]'), ["durable-lambda>=99"]),
    "a version that does not exist": (
        pyproject('["durable-lambda"]', '["durable-lambda", "pydantic>=99"]'), ["pydantic>=99"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_it_is_told_and_nothing_starts(clone: Clone, tmp_path: Path, what: str) -> None:
    folder = orders.write(tmp_path / "orders")
    change, words = WRONG[what]
    change(folder)
    up = clone.make("up", f"APP={folder}")
    assert up.returncode != 0, up.stdout
    assert [line for line in up.stdout.splitlines() if all(word in line for word in words)], up.stdout
    assert re.search(r"^make (up|lock): ", up.stdout, re.MULTILINE), up.stdout
    assert "Traceback" not in up.stdout
    assert clone.leftovers() == ""


def test_routes_that_are_no_yaml_are_told_and_nothing_runs_on(clone: Clone, tmp_path: Path) -> None:
    folder = orders.write(tmp_path / "orders")
    file("openapi.yaml", "paths: [\n")(folder)
    up = clone.make("up", f"APP={folder}")
    assert up.returncode != 0
    assert "openapi.yaml" in up.stdout
    assert clone.containers() == []
    clone.make("reset")


def test_a_folder_that_is_not_there_is_told(clone: Clone) -> None:
    up = clone.make("up", "APP=../nowhere")
    assert up.returncode != 0
    assert "../nowhere" in up.stdout[up.stdout.index("make up:") :]
    assert clone.leftovers() == ""


def test_several_mistakes_are_told_at_once(clone: Clone, tmp_path: Path) -> None:
    folder = orders.write(tmp_path / "orders")
    pyproject('promise-prefix = "order/"', 'promise-prefix = "order"\ncolour = "red"')(folder)
    without("worker.py")(folder)
    said = clone.make("up", f"APP={folder}").stdout
    assert [
        word for word in ("promise-prefix", "colour", "worker.py: it is missing") if word not in said
    ] == [], said


def test_a_library_that_the_application_does_not_want_is_told(clone: Clone, tmp_path: Path) -> None:
    """docs/upgrade.md: the clone was updated, but the application's lock files were not."""
    folder = orders.write(tmp_path / "orders")
    pyproject('["durable-lambda"]', '["durable-lambda<99"]')(folder)
    made = clone.run("bin/application", str(folder))
    assert made.returncode == 0, made.stdout
    version = clone.folder / "durable_lambda/src/durable_lambda/__init__.py"
    before = version.read_text()
    try:
        version.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.1.0"', before))
        up = clone.make("up", f"APP={folder}")
    finally:
        version.write_text(before)
    assert up.returncode != 0
    assert [line for line in up.stdout.splitlines() if "durable-lambda<99" in line], up.stdout
    assert clone.leftovers() == ""
