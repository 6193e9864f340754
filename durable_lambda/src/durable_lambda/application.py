"""What code needs at run time of the table `[tool.durable-lambda]` in the application's own `pyproject.toml`.

The file lies beside `lambda_function.py` and `worker.py`: in the repository, in the images and in the packages for AWS.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

#: Names the application's folder if it is neither the task root, nor the main script's folder, nor the current one.
FOLDER_VARIABLE = "DURABLE_LAMBDA_APP"
_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)?")
_CALL = re.compile(r"([A-Z]+) (/\S*)")


class NoApplicationError(RuntimeError):
    """There is no usable `[tool.durable-lambda]` where one is needed; the message names the file and the key."""


@dataclass(frozen=True)
class Submit:
    """The call that starts a job: `[tool.durable-lambda.submit]`."""

    method: str
    path: str
    #: An example of its body; `{id}` in a text stands for a new id.
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Application:
    """`name`: the Lambda function's name. `prefix`: what the ids of its root promises begin with, such as `doc/`."""

    name: str
    prefix: str
    #: None if the application names no such call.
    submit: Submit | None = None


@cache
def application() -> Application:
    """The running application. Raises :class:`NoApplicationError`."""
    folders = list(_folders())
    for folder in folders:
        file = folder / "pyproject.toml"
        if file.is_file():
            table = _table(file)
            if table is not None:
                return _read(file, table)
    looked = ", ".join(str(folder) for folder in folders)
    raise NoApplicationError(
        f"No pyproject.toml with a table [tool.durable-lambda] in {looked}. "
        f"Start Python in the application's folder, or name that folder with {FOLDER_VARIABLE}."
    )


def _folders() -> Iterable[Path]:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    named = (
        os.environ.get(FOLDER_VARIABLE),
        os.environ.get("LAMBDA_TASK_ROOT"),
        main and str(Path(main).parent),
    )
    return dict.fromkeys([*(Path(name) for name in named if name), Path.cwd()])


def _table(file: Path) -> dict[str, object] | None:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NoApplicationError(f"{file} is not TOML: {error}.") from None
    tool = content.get("tool")
    table = tool.get("durable-lambda") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _read(file: Path, table: dict[str, object]) -> Application:
    name, prefix = table.get("name"), table.get("promise-prefix", "")
    if not isinstance(name, str) or not name:
        raise NoApplicationError(f"{file}: [tool.durable-lambda] name must be the Lambda function's name.")
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise NoApplicationError(
            f'{file}: [tool.durable-lambda] promise-prefix must be a word and a slash, such as "doc/", or be left out.'
        )
    return Application(name, prefix, _submit(file, table.get("submit")))


def _submit(file: Path, table: object) -> Submit | None:
    if table is None:
        return None
    where = f"{file}: [tool.durable-lambda.submit]"
    if not isinstance(table, dict):
        raise NoApplicationError(f"{where} must be a table.")
    call, body = table.get("call"), table.get("body", {})
    found = _CALL.fullmatch(call) if isinstance(call, str) else None
    if found is None:
        raise NoApplicationError(f'{where} call must be a method and a path, such as "POST /jobs".')
    if not isinstance(body, dict):
        raise NoApplicationError(f"{where} body must be a table: an example of what is sent.")
    return Submit(found[1], found[2], body)
