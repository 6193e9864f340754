"""What is wrong with an application's folder is told in a sentence, with file and key, before anything starts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clone import Clone, cloned
from integration.apps import orders

pytestmark = pytest.mark.timeout(900)
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


def more(text: str) -> Callable[[Path], None]:
    return pyproject(TABLE, f"{text}\n{TABLE}")


#: What is done to a good folder, and the words that must be said about it.
WRONG: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no worker.py": (without("worker.py"), ["worker.py"]),
    "no lambda_function.py": (without("lambda_function.py"), ["lambda_function.py"]),
    "no pyproject.toml": (without("pyproject.toml"), ["pyproject.toml"]),
    "no lambda_handler": (file("lambda_function.py", "def handler(event): ...\n"), ["lambda_function.py", "lambda_handler"]),
    "a function that is no Python": (file("lambda_function.py", "def lambda_handler(:\n"), ["lambda_function.py"]),
    "no TOML": (file("pyproject.toml", "[tool\n"), ["pyproject.toml"]),
    "no table": (pyproject(TABLE, "[tool.other]\n"), ["pyproject.toml", "[tool.durable-lambda]"]),
    "no name": (pyproject('name = "orders"\npromise', "promise"), ["pyproject.toml", "name"]),
    "a name that Lambda does not take": (
        pyproject('name = "orders"\npromise', 'name = "my orders!"\npromise'), ["name", "my orders!"],
    ),
    "an unknown key": (pyproject('promise-prefix = "order/"', 'promise_prefix = "order/"'), ["promise_prefix"]),
    "an unknown key in a table": (more("[tool.durable-lambda.function]\nexlude = []\n"), ["function", "exlude"]),
    "a prefix with a colon": (pyproject('"order/"', '"order:1/"'), ["promise-prefix", "order:1/"]),
    "a prefix without a slash": (pyproject('"order/"', '"order"'), ["promise-prefix"]),
    "a prefix that is a number": (pyproject('"order/"', "7"), ["promise-prefix"]),
    "buckets that are no table": (pyproject('promise-prefix = "order/"', 'buckets = "orders"'), ["buckets"]),
    "a bucket that S3 does not take": (
        more('[tool.durable-lambda.buckets]\nORDERS_BUCKET = "My_Orders"\n'), ["ORDERS_BUCKET", "My_Orders"],
    ),
    "a variable that is a number": (pyproject('PACK_SECONDS = "4"', "PACK_SECONDS = 4"), ["PACK_SECONDS"]),
    "a variable of the stack": (pyproject("PACK_SECONDS", "RESONATE_URL"), ["RESONATE_URL"]),
    "a secret of no kind": (more("[tool.durable-lambda.worker.secrets]\nkey = { from = 'KEY' }\n"), ["secrets", "key"]),
    "samples for a bucket that is not declared": (file("samples/pictures/a.txt", "a"), ["samples/pictures", "buckets"]),
    "a call without a method": (pyproject('"POST /orders"', '"/orders"'), ["submit", "call"]),
    "another library": (pyproject('["durable-lambda"]', '["durable-lambda>=99"]'), ["pyproject.toml", "durable-lambda>=99"]),
    "a dependency that does not exist": (
        pyproject('["durable-lambda"]', '["durable-lambda", "no-such-distribution-at-all==1"]'),
        ["no-such-distribution-at-all"],
    ),
    "a route file that is no YAML": (file("openapi.yaml", "paths: [\n"), ["openapi.yaml"]),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_it_is_told_and_nothing_starts(clone: Clone, tmp_path: Path, what: str) -> None:
    folder = orders.write(tmp_path / "orders")
    change, words = WRONG[what]
    change(folder)
    up = clone.make("up", f"APP={folder}")
    assert up.returncode != 0, up.stdout
    last = up.stdout[up.stdout.index("make up:") :]
    assert [word for word in words if word not in last] == [], up.stdout
    assert "Traceback" not in up.stdout
    assert clone.leftovers() == ""


def test_a_folder_that_is_not_there_is_told(clone: Clone) -> None:
    up = clone.make("up", "APP=../nowhere")
    assert up.returncode != 0
    assert "../nowhere" in up.stdout[up.stdout.index("make up:") :]
    assert clone.leftovers() == ""


def test_several_mistakes_are_told_at_once(clone: Clone, tmp_path: Path) -> None:
    folder = orders.write(tmp_path / "orders")
    pyproject('promise-prefix = "order/"', 'promise-prefix = "order"\ncolour = "red"')(folder)
    said = clone.make("up", f"APP={folder}").stdout
    assert "promise-prefix" in said
    assert "colour" in said
