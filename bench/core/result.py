"""What a measure found: rows with figures, each the median of some rounds, and what it takes to believe them."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
#: How far the calibration loop may be slower, at worst, than at its best, on a machine that counts as quiet.
NOISE = 1.25


@dataclass
class Row:
    """One contender: figures by column, each with every round's value."""

    name: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    #: Why there are none, where a contender cannot run here.
    missing: str = ""

    def add(self, column: str, *values: float) -> None:
        self.figures.setdefault(column, []).extend(values)

    def median(self, column: str) -> float:
        return statistics.median(self.figures[column])


@dataclass
class Result:
    """A table: `clock` says what is inside the clock; `base` is the row that ratios are taken to."""

    name: str
    title: str
    clock: str
    unit: str
    base: str = ""
    rows: list[Row] = field(default_factory=list)
    #: What the issue, or a user, expects: each with whether it holds.
    aims: list[tuple[str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    noise: float = 1.0

    def row(self, name: str) -> Row:
        """The row of that name, made where there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        self.rows.append(Row(name))
        return self.rows[-1]

    def aim(self, what: str, holds: bool) -> None:
        self.aims.append((what, holds))

    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row.figures))

    # ------------------------------------------------------------ telling it

    def table(self) -> list[list[str]]:
        """Head and rows: the median, the spread where there were rounds, and the ratio to the base's."""
        base = next((row for row in self.rows if row.name == self.base), None)
        table = [["", *self.columns()]]
        for row in self.rows:
            if row.missing:
                table.append([row.name, f"not measured: {row.missing}"] + [""] * (len(table[0]) - 2))
                continue
            cells = [row.name]
            for column in self.columns():
                cells.append(self._cell(row, column, base))
            table.append(cells)
        return table

    @staticmethod
    def _cell(row: Row, column: str, base: Row | None) -> str:
        if column not in row.figures:
            return ""
        values = row.figures[column]
        told = number(statistics.median(values))
        if len(values) > 1:
            told += f" ({number(min(values))} to {number(max(values))})"
        if base is not None and base is not row and column in base.figures and base.median(column):
            told += f" x{row.median(column) / base.median(column):.2f}"
        return told

    def text(self) -> str:
        """As the terminal shows it."""
        table = self.table()
        short = [row for row in table if "not measured" not in "".join(row)]
        widths = [max(len(row[n]) for row in short) for n in range(len(table[0]))]
        widths[0] = max(len(row[0]) for row in table)
        lines = [f"\n{self.title}  [{self.unit}]", f"  in the clock: {self.clock}"]
        for row in table:
            cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
            lines.append("  " + "  ".join(cells).rstrip())
        lines += [f"  {'holds' if holds else 'MISSED'}: {what}" for what, holds in self.aims]
        lines += [f"  {note}" for note in self.notes]
        if self.noise > NOISE:
            lines.append(f"  a noisy machine: the same loop took up to {self.noise:.2f} times its best")
        return "\n".join(lines)

    def markdown(self, stamp: str) -> str:
        """As docs/speed.md shows it; `stamp` are the circumstances."""
        table = self.table()
        lines = [f"### {self.title}", "", f"In the clock: {self.clock}. Unit: {self.unit}.", ""]
        for n, row in enumerate(table):
            lines.append("| " + " | ".join(row) + " |")
            if n == 0:
                lines.append("|---|" + "---:|" * (len(row) - 1))
        lines.append("")
        lines += [f"- {'Holds' if holds else '**Missed**'}: {what}." for what, holds in self.aims]
        lines += [f"- {note}" for note in self.notes]
        if self.noise > NOISE:
            lines.append(f"- A noisy machine: the same loop took up to {self.noise:.2f} times its best.")
        return "\n".join([*lines, "", f"*{stamp}*", ""])

    def save(self) -> Path:
        """bench/results/<name>.json: every round's value."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        content: dict[str, Any] = {
            "title": self.title,
            "clock": self.clock,
            "unit": self.unit,
            "base": self.base,
            "circumstances": circumstances(),
            "noise": round(self.noise, 3),
            "rows": [
                {"name": row.name, "missing": row.missing, "figures": rounded(row.figures)}
                for row in self.rows
            ],
            "aims": [{"what": what, "holds": holds} for what, holds in self.aims],
            "notes": self.notes,
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def rounded(figures: dict[str, list[float]]) -> dict[str, list[float]]:
    return {column: [float(f"{value:.5g}") for value in values] for column, values in figures.items()}


def number(value: float) -> str:
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def circumstances() -> str:
    """When, which version, on what machine."""
    version = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    engine = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    ).stdout.strip()
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return (
        f"{when}, version {version}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Docker Engine {engine}"
    )


class Calibration:
    """The same loop, again and again between rounds: how much the machine itself varies meanwhile."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self.again()

    def again(self) -> None:
        begun = time.perf_counter()
        total = 0
        for n in range(2_000_000):
            total += n
        self._took.append(time.perf_counter() - begun)

    @property
    def noise(self) -> float:
        """The slowest over the fastest."""
        return max(self._took) / min(self._took)


def rounds(count: int, contenders: Mapping[str, Callable[[], None]]) -> float:
    """Let each contender have its turn, `count` times round; returns the machine's noise meanwhile."""
    calibration = Calibration()
    for _ in range(count):
        for turn in contenders.values():
            turn()
            calibration.again()
    return calibration.noise
