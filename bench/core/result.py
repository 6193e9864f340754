"""The result of a measure: rows of figures, each the median of several rounds, with what a reader needs to judge them."""

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.machine import ROOT, Machine, circumstances, complaint

RESULTS = ROOT / "bench" / "results"
#: The names of our own rows begin with this.
OURS = "this stack"


@dataclass
class Row:
    """One contender: for each column, the value of every round."""

    name: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    #: Why there are no figures, if the contender cannot run here.
    missing: str = ""

    def add(self, column: str, *values: float) -> None:
        self.figures.setdefault(column, []).extend(values)

    def median(self, column: str) -> float:
        return statistics.median(self.figures[column])

    def give_up(self, why: str) -> None:
        """The contender takes no part. The end of the message is kept, because it tells most."""
        self.missing = " ".join(why.replace("|", "/").split())[-300:]


@dataclass
class Result:
    """A table: `clock` says what exactly is timed; `base` is the row that the ratios compare with. `unit` is empty if
    each column names its own.
    """

    name: str
    title: str
    clock: str
    unit: str
    base: str = ""
    rows: list[Row] = field(default_factory=list)
    #: What a user expects, and whether it is met.
    aims: list[tuple[str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Time, versions and machine; set when the result is saved.
    circumstances: str = ""
    #: See core/machine.py.
    noise: float = 1.0
    busy: float = 0.0
    _machine: Machine | None = None

    def look(self) -> None:
        """Between two rounds: check how quiet the machine is."""
        if self._machine is None:
            self._machine = Machine()
        else:
            self._machine.look()
        self.noise, self.busy = self._machine.noise, self._machine.busy

    def row(self, name: str) -> Row:
        """The row of that name; it is created if there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        self.rows.append(Row(name))
        return self.rows[-1]

    def aim(self, what: str, holds: bool) -> None:
        self.aims.append((what, holds))

    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row.figures))

    # ------------------------------------------------------------ output

    def table(self) -> list[list[str]]:
        """Header and rows: the median, the spread if there were several rounds, and the ratio to the base row."""
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
        """The table for the terminal."""
        table = self.table()
        short = [row for row in table if "not measured" not in "".join(row)]
        widths = [max(len(row[n]) for row in short) for n in range(len(table[0]))]
        widths[0] = max(len(row[0]) for row in table)
        unit = f"  [{self.unit}]" if self.unit else ""
        lines = [f"\n{self.title}{unit}", f"  measured: {self.clock}"]
        for row in table:
            cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
            lines.append("  " + "  ".join(cells).rstrip())
        lines += [f"  {'met' if holds else 'MISSED'}: {what}" for what, holds in self.aims]
        lines += [f"  {note}" for note in self.notes]
        if told := complaint(self.noise, self.busy):
            lines.append(f"  {told}")
        return "\n".join(lines)

    def markdown(self) -> str:
        """The table for docs/speed.md."""
        table = self.table()
        unit = f" Unit: {self.unit}." if self.unit else ""
        lines = [f"### {self.title}", "", f"Measured: {self.clock}.{unit}", ""]
        for n, row in enumerate(table):
            lines.append("| " + " | ".join(row) + " |")
            if n == 0:
                lines.append("|---|" + "---:|" * (len(row) - 1))
        lines.append("")
        lines += [f"- {'Met' if holds else '**Missed**'}: {what}." for what, holds in self.aims]
        lines += [f"- {note}." for note in self.notes]
        if told := complaint(self.noise, self.busy):
            lines.append(f"- {told[0].upper()}{told[1:]}.")
        return "\n".join([*lines, "", f"*{self.circumstances}*", ""])

    def save(self) -> Path:
        """Write bench/results/<name>.json with the values of every round."""
        RESULTS.mkdir(exist_ok=True)
        self.circumstances = circumstances()
        path = RESULTS / f"{self.name}.json"
        content: dict[str, Any] = {
            "title": self.title,
            "clock": self.clock,
            "unit": self.unit,
            "base": self.base,
            "circumstances": self.circumstances,
            "noise": round(self.noise, 3),
            "busy": round(self.busy, 3),
            "rows": [
                {"name": row.name, "missing": row.missing, "figures": rounded(row.figures)}
                for row in self.rows
            ],
            "aims": [{"what": what, "holds": holds} for what, holds in self.aims],
            "notes": self.notes,
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, name: str, kept: dict[str, Any]) -> "Result":
        """The result from what `save` wrote."""
        return cls(
            name,
            kept["title"],
            kept["clock"],
            kept["unit"],
            kept["base"],
            [Row(**row) for row in kept["rows"]],
            [(aim["what"], aim["holds"]) for aim in kept["aims"]],
            kept["notes"],
            kept["circumstances"],
            kept["noise"],
            kept.get("busy", 0.0),
        )


def rounded(figures: dict[str, list[float]]) -> dict[str, list[float]]:
    return {column: [float(f"{value:.5g}") for value in values] for column, values in figures.items()}


def number(value: float) -> str:
    """With three significant digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def rounds(
    result: Result, count: int, contenders: Mapping[str, Callable[[], None]], ours: str = OURS
) -> None:
    """Run each contender `count` times. They take turns, and every second round goes in reverse order.

    A peer that fails is dropped, with the reason in its row. If one of our own contenders fails (its name begins with
    `ours`), the measure fails.
    """
    turns = dict(contenders)
    result.look()
    for number in range(count):
        for name in list(turns) if number % 2 == 0 else list(reversed(turns)):
            try:
                turns[name]()
            except Exception as error:
                if name.startswith(ours):
                    raise
                if result.row(name).figures:
                    result.notes.append(f"{name} failed in a later round: {error}")
                else:
                    result.row(name).give_up(f"{type(error).__name__}: {error}")
                del turns[name]
            result.look()
