"""All errors in an application's folder are reported at once, in sentences that name file and key."""

from pathlib import Path

import pytest

from applications import folder
from conftest import Application


def problems(application: Application) -> list[str]:
    with pytest.raises(folder.UnusableError) as told:
        folder.read(application.path, "my/app")
    return told.value.problems


def test_a_folder_in_order_is_read(application: Application) -> None:
    read = folder.read(application.path, "my/app").application
    assert (read.name, read.slug, read.prefix) == ("plain", "plain-thing", "")
    assert read.halves["function"].uses_library
    assert not read.halves["worker"].uses_library


def test_an_empty_folder_is_told_all_that_is_missing(application: Application) -> None:
    for file in application.path.iterdir():
        file.unlink()
    said = problems(application)
    assert [line.partition(": ")[0] for line in said] == [
        "my/app/lambda_function.py",
        "my/app/worker.py",
        "my/app/pyproject.toml",
    ]
    assert all("it is missing" in line for line in said)


@pytest.mark.parametrize(
    "code",
    [
        "async def lambda_handler(event, context): ...",
        "def make(): ...\nlambda_handler = make()",
        "from api import lambda_handler",
        "from api import handle as lambda_handler",
        "from api import *",
        "try:\n    from fast import lambda_handler\nexcept ImportError:\n    def lambda_handler(event, context): ...",
        "class lambda_handler: ...",
    ],
)
def test_a_handler_may_be_defined_in_any_way(application: Application, code: str) -> None:
    application.write("lambda_function.py", code)
    folder.read(application.path, "my/app")


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("lambda_function.py", "def handler(event, context): ...", "it defines no lambda_handler"),
        ("lambda_function.py", "def f():\n    lambda_handler = 1", "it defines no lambda_handler"),
        ("lambda_function.py", "import os\ndef lambda_handler(:\n", "it is not Python 3.13 (line 2)"),
        ("worker.py", "print 'hello'", "it is not Python 3.13 (line 1)"),
        ("pyproject.toml", "[project\n", "it is not TOML"),
        ("pyproject.toml", '[project]\nname = "x"\n', "[tool.durable-lambda]: the table is missing"),
        ("durable_lambda/__init__.py", "", "the library of this name is copied beside"),
        ("openapi.yaml/file", "", "a file is expected"),
        ("samples/documents/a.pdf", "", "no bucket of this name is declared"),
    ],
)
def test_a_bad_file_is_named(application: Application, name: str, code: str, sentence: str) -> None:
    application.write(name, code)
    [said] = problems(application)
    assert said.startswith(f"my/app/{Path(name).parts[0]}")
    assert sentence in said


@pytest.mark.parametrize(
    ("declared", "key", "sentence"),
    [
        ('promise-prefix = "doc"', "promise-prefix", "one word and a slash"),
        ("promise-prefix = 7", "promise-prefix", "is not text"),
        ('colour = "red"', "colour", "there is no such key"),
        ('buckets.B = "UPPER"', "buckets.B", "is not a bucket's name"),
        ('buckets.B = "10.0.0.1"', "buckets.B", "is not a bucket's name"),
        ("buckets.B = 1", "buckets.B", "the bucket's name is expected"),
        ('buckets.AWS_REGION = "docs"', "buckets.AWS_REGION", "is set by the stack or by Lambda itself"),
        ('environment.RESONATE_URL = "x"', "environment.RESONATE_URL", "is set by the stack"),
        ("environment.N = 5", "environment.N", "write the value in quotes"),
        ('environment.N = "{}"', "environment.N", "neither } nor a line break"),
        ('environment.N = "1"\nworker.environment.N = "2"', "worker.environment.N", "declared twice"),
        ('environment.A-B = "1"', "environment.A-B", "is not a variable's name"),
        ('function.include = ["x"]', "function.include", "there is no such key"),
        ('function.exclude = "x"', "function.exclude", "a list of files and folders"),
        ('worker.exclude = ["no/such"]', "worker.exclude", "'no/such' matches no file"),
        (
            'worker.secrets.resonate_token = { random = "" }',
            "worker.secrets.resonate_token",
            "the stack makes itself",
        ),
        ('worker.reads = ["NONE"]', "worker.reads", "'NONE' is neither a bucket's variable"),
        ('function.reads = ["B"]', "function.reads", "there is no such key"),
        ('worker.secrets.key = { setting = "A-B" }', "worker.secrets.key", "'A-B' is not a variable's name"),
        ("worker.secrets.key = {}", "worker.secrets.key", "expected: {"),
        ('worker.secrets.key = { settings = ["A"], random = "" }', "worker.secrets.key", "expected: {"),
        ('worker.secrets.key = { random = "a b" }', "worker.secrets.key", "text without spaces"),
        ('submit.call = "/jobs"', "submit.call", "is not a call"),
        ('submit.call = "POST /jobs"\nsubmit.status = "GET /jobs/{id}"', "submit.over", "it is missing"),
    ],
)
def test_a_bad_key_is_named(application: Application, declared: str, key: str, sentence: str) -> None:
    application.declare(declared)
    said = problems(application)
    assert len(said) == 1
    assert said[0].startswith(f"my/app/pyproject.toml: [tool.durable-lambda] {key}: ")
    assert sentence in said[0]


def test_a_secret_may_come_from_a_setting_of_any_name(application: Application) -> None:
    application.declare('worker.secrets.keys = { settings = ["AWS_BEARER_TOKEN_BEDROCK", "OPENAI_API_KEY"] }')
    read = folder.read(application.path, "my/app").application
    assert read.halves["worker"].secrets["keys"].settings == ("AWS_BEARER_TOKEN_BEDROCK", "OPENAI_API_KEY")


def test_a_function_needs_a_name(application: Application) -> None:
    text = (application.path / "pyproject.toml").read_text()
    for name, sentence in (('name = "a b"', "is not a Lambda function's name"), ("", "it is missing")):
        application.write("pyproject.toml", text.replace('name = "plain"', name))
        [said] = problems(application)
        assert sentence in said


def test_every_problem_is_told_at_once(application: Application) -> None:
    application.declare('promise-prefix = "doc"\nbuckets.B = "UPPER"\nfunction.exclude = ["none"]\n')
    (application.path / "worker.py").unlink()
    assert len(problems(application)) == 4


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "no-such-file"])
def test_a_link_that_leads_out_is_told(application: Application, target: str) -> None:
    (application.path.parent / "outside").write_text("secret")
    (application.path / "data.txt").symlink_to(target)
    [said] = problems(application)
    assert said.startswith(f"my/app/data.txt: the link leads to {target}")


def test_a_link_that_stays_inside_is_well(application: Application) -> None:
    application.write("data/a.txt", "a")
    (application.path / "b.txt").symlink_to("data/a.txt")
    folder.read(application.path, "my/app")
