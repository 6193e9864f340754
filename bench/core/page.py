"""Writes the tables of docs/speed.md and their pictures."""

from pathlib import Path

from bench.core.machine import ROOT
from bench.core.picture import draw
from bench.core.result import Result

PAGE = ROOT / "docs" / "speed.md"
PICTURES = ROOT / "docs" / "pictures"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


def draw_all(result: Result, columns: list[str]) -> None:
    """Draw one picture per column; pictures of columns that no longer exist are removed."""
    for old in PICTURES.glob(f"{result.name}-*.svg"):
        old.unlink()
    for column in columns:
        if any(column in row.figures for row in result.rows):
            draw(result, column, PICTURES / f"{result.name}-{_word(column)}.svg")


def write_page(results: list[Result]) -> None:
    """Write all results between the page's marks."""
    parts = []
    for result in results:
        pictures = sorted(path.name for path in PICTURES.glob(f"{result.name}-*.svg"))
        shown = "\n".join(f"![{Path(name).stem}](pictures/{name})" for name in pictures)
        parts.append(f"{result.markdown()}\n{shown}\n")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


def _word(column: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in column).strip("-")
