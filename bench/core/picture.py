"""Bar charts as SVG, one per column of a result. Readable on light and dark pages."""

import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

from bench.core.result import OURS, Result, number

_LEFT, _BAR, _ROW, _TOP = 250, 380, 26, 46
#: The small print below the bars: characters per line, and the height of a line.
_WIDE, _LOW = 120, 14
_STYLE = (
    "text{font:13px sans-serif;fill:#57606a}.t{font-weight:bold;font-size:14px}"
    ".c{font-size:10px}.b{fill:#9aa6b2}.o{fill:#2f81f7}.s{stroke:#57606a;stroke-width:2}"
)


def draw(result: Result, column: str, path: Path) -> None:
    """Write the picture: a bar for each median, a line from the smallest to the largest round, our own bars in another
    colour. The small print tells date, versions and machine.
    """
    rows = [row for row in result.rows if column in row.figures]
    most = max(max(row.figures[column]) for row in rows) or 1.0
    below = _TOP + _ROW * len(rows) + 18
    told = textwrap.wrap(result.circumstances, _WIDE)
    height = below + _LOW * len(told)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _BAR + 90} {height}" role="img">',
        f"<title>{escape(result.title)}: {escape(column)}</title><style>{_STYLE}</style>",
        f'<text class="t" x="8" y="20">{escape(result.title)}</text>',
        f'<text x="8" y="37">{escape(", ".join(filter(None, (column, result.unit))))}</text>',
    ]
    for n, row in enumerate(rows):
        y = _TOP + _ROW * n
        value = row.median(column)
        width = max(1.0, value / most * _BAR)
        kind = "o" if row.name.startswith(OURS) else "b"
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(row.name)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 8}" rx="2"/>',
            _spread(row.figures[column], most, y + 3 + (_ROW - 8) / 2),
            f'<text x="{_LEFT + max(row.figures[column]) / most * _BAR + 8:.1f}" y="{y + 16}">{number(value)}</text>',
        ]
    parts += [
        f'<text class="c" x="8" y="{below + _LOW * n}">{escape(line)}</text>' for n, line in enumerate(told)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>\n"]), encoding="utf-8")


def _spread(values: list[float], most: float, y: float) -> str:
    if len(values) < 2:
        return ""
    left, right = (_LEFT + value / most * _BAR for value in (min(values), max(values)))
    return f'<path class="s" d="M{left:.1f} {y}H{right:.1f}"/>'
