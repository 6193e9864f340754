"""Fills in the application's part of the templates, and writes what is deployed into the folder OUT.

Usage: fill.py APPLICATION.json OUT     (called by make package, in the gateway's image)

APPLICATION.json is what `make package` read from the application's pyproject.toml. A template here is written for an
application with one bucket, one variable, one secret; their names begin with `Each`, or with `EACH_` where the name of
the environment variable is meant. Each part that has such a name is repeated for each bucket, variable or secret of the
application:

* an entry of a mapping, if its key has it: a parameter, a condition, a resource, an output;
* an item of a list, if its `Name`, its `PolicyName` or the condition of its `!If` has it;
* otherwise the item of the innermost list: an ARN in a policy, for instance.

A statement whose list of resources is empty after that, and a policy without statements, are left out.
Beside the templates lie `function.env`, the settings of deploy/lambda.sh, and `worker.env` and `prod.env`, those of
deploy/compose.prod.yaml.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
FILLED = ("template", "storage", "worker", "api")
AS_THEY_ARE = ("network", "server")

#: What each token becomes, for one bucket, variable or secret.
Item = dict[str, str]


class FillError(ValueError):
    """The templates cannot be filled in for this application; the message says what to change."""


# ---------------------------------------------------------------- what the application has


def camel(variable: str) -> str:
    """The variable's name as CloudFormation takes names: letters and digits only. SOURCE_BUCKETS: SourceBuckets."""
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", variable))


def items(kind: str, names: dict[str, str], default: dict[str, str] | None = None) -> list[Item]:
    """The tokens of a kind (`WorkerVariable`: EachWorkerVariable, EACH_WORKER_VARIABLE), for each variable and its name."""
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise FillError(
            f"two variables of the application become {twice} in a template; rename one in pyproject.toml."
        )
    capitals = "EACH" + re.sub(r"([A-Z])", r"_\1", kind).upper()
    return [
        {f"Each{kind}Default": (default or {}).get(variable, ""), f"Each{kind}": name, capitals: variable}
        for variable, name in names.items()
    ]


def secrets(half: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The variables of a half's secrets: those that the account's owner keeps, and those that the stack makes.

    A secret's variable is the name of its file, in capitals; a file of `NAME=value` lines is a variable for each name.
    """
    given: list[str] = []
    made: list[str] = []
    for file, source in half.get("secrets", {}).items():
        if "settings" in source:
            given += source["settings"]
        elif "random" in source:
            made.append(file.upper())
        else:
            given.append(file.upper())
    return given, made


def kinds(application: dict[str, Any]) -> dict[str, list[Item]]:
    """What the templates repeat, and for which buckets, variables and secrets."""
    buckets = {
        variable: camel(variable.removesuffix("_BUCKET")) for variable in application.get("buckets", {})
    }
    only_read = application.get("worker", {}).get("reads", [])
    found = {
        "Bucket": items("Bucket", buckets),
        "ReadBucket": items("ReadBucket", {v: n for v, n in buckets.items() if v in only_read}),
        "WrittenBucket": items("WrittenBucket", {v: n for v, n in buckets.items() if v not in only_read}),
    }
    known: dict[str, str] = {}
    for half in ("worker", "function"):
        known |= application.get(half, {}).get("environment", {})
    for variable in only_read:
        if variable not in buckets and variable not in known:
            raise FillError(
                f"[tool.durable-lambda.worker] reads names {variable}, which is neither a bucket nor a variable of the "
                "environment; correct the name in the application's pyproject.toml."
            )
    everything: dict[str, dict[str, None]] = {"Variable": {}, "List": {}, "Secret": {}, "MadeSecret": {}}
    for half in ("worker", "function"):
        part = application.get(half, {})
        variables = part.get("environment", {})
        given, made = secrets(part)
        of_half = {
            "Variable": [v for v in variables if v not in only_read],
            "List": [v for v in variables if v in only_read],
            "Secret": given,
            "MadeSecret": made,
        }
        for kind, names in of_half.items():
            found[half.capitalize() + kind] = items(half.capitalize() + kind, _named(kind, names))
            everything[kind] |= dict.fromkeys(names)
    for kind, all_names in everything.items():
        found[kind] = items(kind, _named(kind, all_names), known)
    return found


def _named(kind: str, variables: Any) -> dict[str, str]:
    """The parameter of each variable. A secret's holds its ARN, and so ends with `Secret`."""
    return {
        v: camel(v) if "Secret" not in kind or v.endswith("_SECRET") else f"{camel(v)}Secret"
        for v in variables
    }


# ---------------------------------------------------------------- filling in


def has(node: Any, item: Item) -> bool:
    """Whether there is a token of the item's kind in it, anywhere."""
    if isinstance(node, dict):
        return any(has(key, item) or has(value, item) for key, value in node.items())
    if isinstance(node, list):
        return any(has(part, item) for part in node)
    return isinstance(node, str) and any(token in node for token in item)


def put(node: Any, item: Item) -> Any:
    """The same, with the item's values in place of the tokens."""
    if isinstance(node, dict):
        return {put(key, item): put(value, item) for key, value in node.items()}
    if isinstance(node, list):
        return [put(part, item) for part in node]
    if isinstance(node, str):
        for token, value in item.items():
            node = node.replace(token, value)
    return node


def is_call(node: dict[str, Any]) -> bool:
    """Whether it is a function of CloudFormation: the list under it holds arguments, and is not to be repeated."""
    return len(node) == 1 and next(iter(node)).startswith("Fn::")


def label(part: Any) -> Any:
    """What an item of a list is called."""
    if not isinstance(part, dict):
        return None
    if "Fn::If" in part:
        return part["Fn::If"][0]
    return part.get("Name", part.get("PolicyName"))


def repeat(node: Any, token: Item, for_each: list[Item]) -> Any:
    """Everything under `node` that has the token, once for each item."""
    if isinstance(node, list):
        repeated = []
        for part in node:
            whole = has(label(part), token)
            inner = part if whole else repeat(part, token, for_each)
            repeated += [put(inner, item) for item in for_each] if has(inner, token) else [inner]
        return repeated
    if not isinstance(node, dict):
        return node
    if is_call(node):
        ((function, arguments),) = node.items()
        if isinstance(arguments, list):
            arguments = [repeat(argument, token, for_each) for argument in arguments]
        return {function: arguments}
    entries: dict[str, Any] = {}
    for key, value in node.items():
        if not has(key, token):
            entries[key] = repeat(value, token, for_each)
            continue
        for item in for_each:
            name = put(key, item)
            if name in entries or name in node:
                raise taken(name)
            entries[name] = put(value, item)
    return entries


def taken(name: str) -> FillError:
    return FillError(
        f"the templates have a name {name} of their own. A bucket, variable or secret of the application would get the "
        "same name (its own without underscores, a bucket's without _BUCKET); give it another one in pyproject.toml."
    )


def without_empty_policies(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_empty_policies(value) for key, value in node.items()}
    if not isinstance(node, list):
        return node
    kept = [without_empty_policies(part) for part in node]
    return [
        part
        for part in kept
        if not isinstance(part, dict)
        or (part.get("Resource") != [] and part.get("PolicyDocument", {}).get("Statement") != [])
    ]


def filled(template: dict[str, Any], application: dict[str, Any]) -> dict[str, Any]:
    """The template, filled in for this application."""
    for kind, for_each in kinds(application).items():
        (token,) = items(kind, {"": ""})
        template = repeat(template, token, for_each)
    template = without_empty_policies(template)
    for name in template["Parameters"].keys() & template["Resources"].keys():
        raise taken(name)
    if left := re.search(r"\b(Each[A-Z]|EACH_)\w*", json.dumps(template)):
        raise FillError(f"{left[0]} is left in a template; deploy/fill.py knows no such name.")
    return {key: value for key, value in template.items() if value != {}}


# ---------------------------------------------------------------- templates as files


class Loader(yaml.SafeLoader):
    """CloudFormation's short forms (`!Ref`) as its long ones."""


class Dumper(yaml.SafeDumper):
    """No anchors: CloudFormation takes none."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _call(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise FillError(f"!{name} takes no mapping (line {node.start_mark.line + 1}).")
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


Loader.add_multi_constructor("!", _call)


def read(name: str) -> dict[str, Any]:
    template: dict[str, Any] = yaml.load((HERE / f"{name}.yaml").read_text(), Loader)  # noqa: S506 - a SafeLoader
    return template


def write(template: dict[str, Any], to: Path) -> None:
    to.write_text(yaml.dump(template, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**6))


# ---------------------------------------------------------------- settings


def settings(application: dict[str, Any], half: str) -> str:
    """A file of NAME=value lines with what this half of the application takes."""
    part = application.get(half, {})
    given, made = secrets(part)
    user = {"function": "deploy/lambda.sh", "worker": "deploy/compose.prod.yaml"}[half]
    lines = [
        f"# Settings of the {half} of {application['name']}, for {user}. Made by make package: copy this file to",
        f"# deploy/{half}.env (git ignores it) and fill it in. A line that begins with # is not set.",
    ]
    if half == "function":
        lines += ["", "# The function's name in AWS.", f"FUNCTION_NAME={application['name']}"]
    if application.get("buckets"):
        lines += [
            "",
            "# The names of your buckets.",
            *(f"{v}={n}" for v, n in application["buckets"].items()),
        ]
    if variables := part.get("environment", {}):
        lines += ["", "# Settings."]
        lines += [f"{v}={value}" if value else f"#{v}=" for v, value in variables.items()]
    if given or made:
        lines += ["", "# Secrets: keep the filled-in file to yourself.", *(f"#{v}=" for v in (*made, *given))]
    return "\n".join(lines) + "\n"


def main(description: Path, out: Path) -> None:
    application = json.loads(description.read_text())
    out.mkdir(parents=True, exist_ok=True)
    for name in FILLED:
        write(filled(read(name), application), out / f"{name}.yaml")
    for name in AS_THEY_ARE:
        shutil.copyfile(HERE / f"{name}.yaml", out / f"{name}.yaml")
    for half in ("function", "worker"):
        (out / f"{half}.env").write_text(settings(application, half))
    prod = (HERE / "prod.env.example").read_text()
    token = application.get("prefix", "").rstrip("/") or "_all"
    prod = prod.replace("PROJECT", application.get("project", application["name"])).replace("PREFIX", token)
    (out / "prod.env").write_text(prod)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: fill.py APPLICATION.json OUT")
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except FillError as error:
        sys.exit(f"deploy/fill.py: {error}")
