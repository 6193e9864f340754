"""Runs the measures, prints their tables, leaves bench/results/*.json, pictures and docs/speed.md's tables."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from bench.core.picture import draw
from bench.core.result import RESULTS, ROOT, Result, Row

#: In the order they are run: what wants a quiet machine first. Each with the columns that a picture is made of.
MEASURES = {
    "submit": ["p50"],
    "jobs": ["first 1,000", "tenth 1,000"],
    "step": ["a step"],
    "recovery": ["until the step runs again"],
    "memory": ["memory"],
    "growth": ["empty jobs/s", "documents/s", "submissions/s"],
    "up": ["seconds"],
}
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *MEASURES], help="which measures; all without")
    names = parser.parse_args().names or list(MEASURES)
    failed = []
    for name in names:
        sys.stdout.write(f"\n==> bench/measures/{name}.py\n")
        sys.stdout.flush()
        try:
            result: Result = importlib.import_module(f"bench.measures.{name}").measure()
        except Exception as error:  # the others are worth having
            failed.append(name)
            sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
            continue
        result.save()
        for column in MEASURES[name]:
            if any(column in row.figures for row in result.rows):
                draw(result, column, picture(name, column), ours="this stack")
        sys.stdout.write(result.text() + "\n")
        sys.stdout.flush()
    write_page()
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def picture(name: str, column: str) -> Path:
    word = "".join(letter if letter.isalnum() else "-" for letter in column).strip("-")
    return PICTURES / f"{name}-{word}.svg"


def write_page() -> None:
    """Put every result that is at hand between the page's marks."""
    parts = []
    for name, columns in MEASURES.items():
        file = RESULTS / f"{name}.json"
        if not file.exists():
            continue
        result, stamp = load(json.loads(file.read_text(encoding="utf-8")), name)
        shown = [picture(name, column) for column in columns if picture(name, column).exists()]
        images = "\n".join(f"![{path.stem}](pictures/{path.name})" for path in shown)
        parts.append(f"{result.markdown(stamp)}\n{images}\n")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


def load(kept: dict[str, object], name: str) -> tuple[Result, str]:
    """A result as it was saved, and under what circumstances."""
    content: dict[str, object] = dict(kept)
    rows = [Row(**row) for row in content["rows"]]  # type: ignore[attr-defined]
    aims = [(aim["what"], aim["holds"]) for aim in content["aims"]]  # type: ignore[attr-defined]
    result = Result(
        name,
        str(content["title"]),
        str(content["clock"]),
        str(content["unit"]),
        str(content["base"]),
        rows,
        aims,
    )
    result.notes = list(content["notes"])  # type: ignore[call-overload]
    result.noise = float(str(content["noise"]))
    return result, str(content["circumstances"])


if __name__ == "__main__":
    sys.exit(main())
