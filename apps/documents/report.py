"""The readable report: the result as a person wants to read it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def report_of(result: dict[str, Any]) -> str:
    """The report of a `result.json`."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: dict[str, Any]) -> Iterator[str]:
    analysis, document, analyzer = result["analysis"], result["document"], result["analyzer"]
    yield f"# {analysis['type'].capitalize()} {_text(result['jobId'])}"
    yield ""
    yield _text(analysis["summary"])
    yield ""
    yield f"- Document: {_text(result['documentUrl'])} ({document['mediaType']}, {document['bytes']:,} bytes)"
    yield f"- SHA-256: {document['sha256']}"
    pages = result["text"].get("pages")
    yield f"- Text: {result['text']['characters']:,} characters" + (f" on {pages} pages" if pages else "")
    how = "rules, without a model" if analyzer["kind"] == "rules" else f"the model {analyzer['name']}"
    yield f"- Analyzed by {how}"
    if approval := result.get("approval"):
        comment = f": {_text(approval['comment'])}" if approval.get("comment") else ""
        yield f"- Approved by {_text(approval['approver'])} at {approval['at']}{comment}"
    for name, value in analysis.items():
        if name not in ("type", "summary") and value not in (None, [], {}):
            yield ""
            yield f"## {name.replace('_', ' ').capitalize()}"
            yield ""
            yield from _value(value)


def _value(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        yield from (f"- {_entry(item)}" for item in value)
    elif isinstance(value, dict):
        yield from (
            f"- {name.replace('_', ' ')}: {_text(item)}" for name, item in value.items() if item is not None
        )
    else:
        yield _text(value)


def _entry(item: Any) -> str:
    if not isinstance(item, dict):
        return _text(item)
    shown = [(name, _text(value)) for name, value in item.items() if value not in (None, "")]
    if not shown:
        return ""
    (_, first), *others = shown
    rest = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in others)
    return f"**{first}**" + (f" ({rest})" if rest else "")


def _text(value: Any) -> str:
    """On one line, and escaped, so that nothing in it is read as Markdown."""
    text = " ".join(str(value).split())
    return "".join(f"\\{c}" if c in "\\`*_<>[]|#" else c for c in text)
