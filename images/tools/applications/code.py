"""lambda_function.py and worker.py: parsed, never run."""

import ast
from collections.abc import Iterator
from pathlib import Path

HANDLER = "lambda_handler"


def problem(file: Path, *, handler: bool = False) -> str | None:
    """What is wrong with a module; with `handler`, also that it defines no `lambda_handler`."""
    try:
        tree = ast.parse(file.read_bytes(), filename=file.name)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        return f"it is not Python 3.13{f' (line {line})' if line else ''}: {getattr(error, 'msg', error)}."
    if handler and HANDLER not in set(_defined(tree.body)):
        return f"it defines no {HANDLER}; Lambda calls {HANDLER}(event, context) there."
    return None


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module has once it is imported, as far as its text shows."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                # `from x import *` may bring anything.
                yield from (HANDLER if alias.name == "*" else alias.asname or alias.name for alias in aliases)
            case ast.If() | ast.Try() | ast.TryStar() | ast.With():
                for part in ("body", "orelse", "finalbody"):
                    yield from _defined(getattr(statement, part, []))
                for caught in getattr(statement, "handlers", []):
                    yield from _defined(caught.body)
