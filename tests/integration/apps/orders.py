"""The application of docs/tutorial.md: its three files, as that page shows them."""

import re
from pathlib import Path

from harness.machine import ROOT

_TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
#: A file's name in a sentence, and the next block of code.
_FILE = re.compile(r"^`orders/([\w.]+)` (?:.*?)^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES: dict[str, str] = dict(_FILE.findall(_TUTORIAL))
LAMBDA_FUNCTION, WORKER, PYPROJECT = (
    FILES["lambda_function.py"],
    FILES["worker.py"],
    FILES["pyproject.toml"],
)

#: The promise of the question in `fulfil`: the second child of an order that has one.
QUESTION = "order/{order_id}:2"


def write(folder: Path, **files: str) -> Path:
    """Write the three files into the folder; `files` replace them, by their names without the suffix."""
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(files.get(name.partition(".")[0], text), encoding="utf-8")
    return folder
