"""An application's folder as a whole: either it is in order, or every problem is reported at once."""

from dataclasses import dataclass
from pathlib import Path

from . import code, files, table
from .table import Application, Table


class UnusableError(Exception):
    """The folder is not an application that the stack can run; `problems` says everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Folder:
    path: Path
    application: Application
    document: Table


def read(path: Path, shown: str) -> Folder:
    """`shown` is what the user calls the folder. Raises :class:`UnusableError`."""
    problems: list[str] = []

    def tell(name: str, key: str, sentence: str) -> None:
        problems.append(f"{shown}/{name}: {key}{': ' if key else ''}{sentence}")

    for name, what in (
        ("lambda_function.py", "the function, with lambda_handler(event, context)"),
        ("worker.py", "what the worker's container runs"),
        ("pyproject.toml", "its name and dependencies, and [tool.durable-lambda]"),
    ):
        if not (path / name).is_file():
            tell(name, "", f"it is missing; it holds {what}.")
        elif name.endswith(".py") and (
            said := code.problem(path / name, handler=name == "lambda_function.py")
        ):
            tell(name, "", said)
    for name in ("durable_lambda", "durable_lambda.py"):
        if (path / name).exists():
            tell(name, "", "the library of this name is copied beside the application's code; rename yours.")
    if (path / "openapi.yaml").exists() and not (path / "openapi.yaml").is_file():
        tell("openapi.yaml", "", "a file is expected, the definition of the HTTP API.")
    for link, target in files.links_out(path):
        tell(
            link.relative_to(path).as_posix(), "",
            f"the link leads to {target}, which is not a file or folder of the application; copy it here, or make the "
            "link a relative one that stays inside.",
        )  # fmt: skip
    document: Table | None = None
    application = Application()
    if (path / "pyproject.toml").is_file():
        document = table.load(
            path / "pyproject.toml", lambda key, sentence: tell("pyproject.toml", key, sentence)
        )
    if document is not None:
        application = table.read(document, lambda key, sentence: tell("pyproject.toml", key, sentence))
        for which, half in application.halves.items():
            for entry in files.unmatched(path, half.exclude):
                tell(
                    "pyproject.toml",
                    f"[tool.durable-lambda] {which}.exclude",
                    f"{entry!r} matches no file here.",
                )
        for bucket in sorted(
            {name.partition("/")[0] for name in files.samples(path)} - set(application.buckets.values())
        ):
            tell(
                f"samples/{bucket}", "",
                "no bucket of this name is declared in pyproject.toml, [tool.durable-lambda.buckets].",
            )  # fmt: skip
    if problems or document is None:
        raise UnusableError(list(dict.fromkeys(problems)))
    return Folder(path, application, document)
