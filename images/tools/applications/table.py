"""What an application's pyproject.toml tells the stack: [tool.durable-lambda], and the name in [project]."""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import names

Table = dict[str, Any]
#: Takes a key and a sentence about it.
Tell = Callable[[str, str], None]

_TOP = {"name", "promise-prefix", "buckets", "environment", "function", "worker", "submit"}
_HALF = {
    "function": {"exclude", "environment", "secrets"},
    "worker": {"exclude", "environment", "secrets", "reads"},
}
_SUBMIT = {"call", "body", "status", "over"}
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Secret:
    """Where a secret's content comes from: one setting, else random bytes behind a prefix; or several settings' lines."""

    setting: str | None = None
    random: str | None = None
    settings: tuple[str, ...] = ()


@dataclass
class Half:
    """What is declared for the function or the worker. `environment` includes the variables of both halves."""

    exclude: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    #: Variables of buckets that it only reads: its role in AWS allows no more.
    reads: list[str] = field(default_factory=list)
    #: Whether its dependencies name the library.
    uses_library: bool = False


@dataclass
class Application:
    project: str = ""
    name: str = ""
    prefix: str = ""
    buckets: dict[str, str] = field(default_factory=dict)
    halves: dict[str, Half] = field(default_factory=lambda: {"function": Half(), "worker": Half()})
    submit: Table | None = None

    @property
    def slug(self) -> str:
        return names.slug(self.project)


def load(file: Path, tell: Tell) -> Table | None:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        tell("", f"it is not TOML: {error}.")
    return None


def read(document: Table, tell: Tell) -> Application:
    """The application, as far as it can be read; every problem is reported."""
    application = Application()
    project = document.get("project", {})
    if (
        not isinstance(project, dict)
        or not isinstance(project.get("name"), str)
        or not names.slug(project["name"])
    ):
        tell("[project] name", "it is missing; images are named after it.")
    else:
        application.project = project["name"]
    table = document.get("tool", {}).get("durable-lambda")
    if not isinstance(table, dict):
        tell(
            "[tool.durable-lambda]",
            'the table is missing; it needs at least the function\'s name: name = "…".',
        )
        return application
    _unknown(table, _TOP, "", tell)
    name = table.get("name")
    if not isinstance(name, str):
        tell(_key("name"), 'it is missing; it is the Lambda function\'s name: name = "…".')
    elif problem := names.function_problem(name):
        tell(_key("name"), problem)
    else:
        application.name = name
    prefix = table.get("promise-prefix", "")
    problem = (
        names.prefix_problem(prefix)
        if isinstance(prefix, str)
        else f"{prefix!r} is not text; write it in quotes."
    )
    if problem:
        tell(_key("promise-prefix"), problem)
    else:
        application.prefix = prefix
    application.buckets = dict(_buckets(table.get("buckets", {}), tell))
    shared = dict(_environment(table.get("environment", {}), "environment", set(application.buckets), tell))
    for which, half in application.halves.items():
        taken = {*application.buckets, *shared}
        _half(_table(table, which, tell), which, half, taken, tell)
        half.environment = shared | half.environment
        half.uses_library = "durable-lambda" in dependencies(document, which, tell)
    reads = _table(table, "worker", lambda key, sentence: None).get("reads", [])
    worker = application.halves["worker"]
    worker.reads = _reads(reads, {*application.buckets, *worker.environment}, tell)
    application.submit = _submit(table.get("submit"), tell)
    return application


def _key(*parts: str) -> str:
    return f"[tool.durable-lambda] {'.'.join(parts)}"


def _unknown(table: Table, known: set[str], where: str, tell: Tell) -> None:
    for key in sorted(table.keys() - known):
        tell(
            _key(*filter(None, (where, key))),
            f"there is no such key; known here: {', '.join(sorted(known))}.",
        )


def _table(table: Table, key: str, tell: Tell) -> Table:
    found = table.get(key, {})
    if isinstance(found, dict):
        return found
    tell(_key(key), "a table is expected.")
    return {}


def _buckets(table: object, tell: Tell) -> Iterator[tuple[str, str]]:
    if not isinstance(table, dict):
        tell(_key("buckets"), 'a table is expected: VARIABLE = "bucket".')
        return
    for variable, bucket in table.items():
        problem = names.variable_problem(variable)
        problem = problem or (
            "the bucket's name is expected, in quotes." if not isinstance(bucket, str) else None
        )
        problem = problem or names.bucket_problem(bucket)
        if problem:
            tell(_key("buckets", variable), problem)
        else:
            yield variable, bucket


def _environment(table: object, where: str, taken: set[str], tell: Tell) -> Iterator[tuple[str, str]]:
    if not isinstance(table, dict):
        tell(_key(where), 'a table is expected: VARIABLE = "value".')
        return
    for variable, value in table.items():
        problem = names.variable_problem(variable) or names.value_problem(value)
        if variable in taken:
            problem = "the variable is declared twice, as a bucket's or as one of both halves."
        if problem:
            tell(_key(where, variable), problem)
        else:
            yield variable, value


def _reads(said: object, known: set[str], tell: Tell) -> list[str]:
    if not isinstance(said, list) or not all(isinstance(variable, str) for variable in said):
        tell(_key("worker.reads"), 'a list of variables is expected: ["DOCUMENTS_BUCKET"].')
        return []
    for variable in said:
        if variable not in known:
            tell(
                _key("worker.reads"),
                f"{variable!r} is neither a bucket's variable nor one of the environment.",
            )
    return said


def _half(table: Table, which: str, half: Half, taken: set[str], tell: Tell) -> None:
    _unknown(table, _HALF[which], which, tell)
    exclude = table.get("exclude", [])
    if isinstance(exclude, list) and all(isinstance(entry, str) and entry for entry in exclude):
        half.exclude = exclude
    else:
        tell(_key(which, "exclude"), 'a list of files and folders is expected: ["steps", "workflow.py"].')
    half.environment = dict(_environment(table.get("environment", {}), f"{which}.environment", taken, tell))
    secrets = table.get("secrets", {})
    if not isinstance(secrets, dict):
        tell(_key(which, "secrets"), 'a table is expected: name = { setting = "NAME" }.')
        return
    for name, said in secrets.items():
        problem = names.secret_problem(name)
        secret = _secret(said)
        if isinstance(secret, str):
            problem = problem or secret
        if problem:
            tell(_key(which, "secrets", name), problem)
        elif isinstance(secret, Secret):
            half.secrets[name] = secret


def _secret(said: object) -> Secret | str:
    """The secret, or what is wrong with it."""
    forms = '{ setting = "NAME", random = "prefix" } (one of the two, or both) or { settings = ["NAME", …] }'
    if not isinstance(said, dict) or not said or said.keys() - {"setting", "random", "settings"}:
        return f"expected: {forms}."
    several = said.get("settings", [])
    if "settings" in said and (len(said) > 1 or not isinstance(several, list) or not several):
        return f"expected: {forms}."
    setting, random = said.get("setting"), said.get("random")
    for name in [*several, *([] if setting is None else [setting])]:
        problem = names.setting_problem(name)
        if problem:
            return problem
    if random is not None and (not isinstance(random, str) or any(c.isspace() for c in random)):
        return f"{random!r} cannot stand before random bytes; text without spaces is expected."
    return Secret(setting, random, tuple(several))


def _submit(table: object, tell: Tell) -> Table | None:
    if table is None:
        return None
    if not isinstance(table, dict):
        tell(_key("submit"), "a table is expected.")
        return None
    _unknown(table, _SUBMIT, "submit", tell)
    for key in ("call", "status"):
        said = table.get(key)
        if said is None and key == "status":
            continue
        method, _, path = said.partition(" ") if isinstance(said, str) else ("", "", "")
        if method not in _METHODS or not path.startswith("/"):
            tell(_key("submit", key), f'{said!r} is not a call; expected: "POST /path".')
            return None
    if not isinstance(table.get("body", {}), dict):
        tell(_key("submit.body"), "a table is expected: what is sent as JSON.")
        return None
    over = table.get("over", [])
    if not isinstance(over, list) or not all(isinstance(state, str) for state in over):
        tell(_key("submit.over"), "a list of the states is expected in which a job is over.")
        return None
    if "status" in table and not over:
        tell(_key("submit.over"), "it is missing; `make submit` follows the job until one of these states.")
        return None
    return table


def dependencies(document: Table, which: str, tell: Tell) -> set[str]:
    """The names of what one half depends on: [project] dependencies, and its group with those it includes."""
    found: list[object] = []
    shared = document.get("project", {}).get("dependencies", [])
    groups = document.get("dependency-groups", {})
    if not isinstance(groups, dict):
        tell("[dependency-groups]", "a table is expected.")
        groups = {}
    if isinstance(shared, list):
        found += shared
    else:
        tell("[project] dependencies", "a list is expected.")
    seen: set[str] = set()
    waiting = [which]
    while waiting:
        group = waiting.pop()
        if group in seen:
            continue
        seen.add(group)
        entries = groups.get(group, [])
        if not isinstance(entries, list):
            tell(f"[dependency-groups] {group}", "a list is expected.")
            continue
        found += [entry for entry in entries if isinstance(entry, str)]
        waiting += [
            entry["include-group"]
            for entry in entries
            if isinstance(entry, dict) and "include-group" in entry
        ]
    return {names.slug(_distribution(entry)) for entry in found if isinstance(entry, str)}


def _distribution(requirement: str) -> str:
    """The name at the head of a requirement."""
    for index, character in enumerate(requirement):
        if not (character.isalnum() or character in "._-"):
            return requirement[:index]
    return requirement
