"""Usage: python -m analysis TEXT TYPE NAME     (in a limited process; see steps/analyze_document.py)

The `local` analyzer: rules, no model. The same text gives the same result, without anything that the rules do not find.
Prints the result as JSON; its shape is in analysis/results.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from analysis.contracts import analyze_contract
from analysis.invoices import analyze_invoice
from analysis.reports import analyze_report

#: The most characters that rules read; a contract has far fewer.
_FARTHEST = 2_000_000


def analyze(text: str, job_type: str, name: str = "") -> dict[str, Any]:
    text = text[:_FARTHEST]
    match job_type:
        case "contract":
            return analyze_contract(text)
        case "invoice":
            return analyze_invoice(text)
        case _:
            return analyze_report(text, name)


if __name__ == "__main__":
    found = analyze(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2], sys.argv[3])
    print(json.dumps(found, default=str))  # noqa: T201 - the answer
