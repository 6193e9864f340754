# ruff: noqa: E501 - tables, an entry a line
"""Reports, by rules: title, sections, findings, figures."""

from __future__ import annotations

import re
from typing import Any

from analysis.figures import amounts, dates
from analysis.language import Heading, headings, sentences, summary

_RECOMMENDS = re.compile(r"\brecommend|\bshould\b|we (?:suggest|advise|propose)|empfehl|sollte", re.I)
_RISKS = re.compile(r"\brisks?\b|threat|vulnerab|concern|shortfall|deficien|risik", re.I)
_FINDS = re.compile(
    r"\bwe (?:found|observe|conclude)|(?:found|shows?|indicates?|reveals?|demonstrates?|suggests?|confirms?) that|conclu(?:de|sion)|"
    r"as a result|in summary|overall|increas|decreas|rose|fell|grew|declin|improv|worsen|exceed|zeigt|ergab|gestiegen|gesunken",
    re.I,
)
_FIGURE = re.compile(r"\d+(?:[.,]\d+)?\s?(?:%|percent|per cent|prozent|million|billion)|[$€£]\s?\d", re.I)
_LONGEST = 600


def analyze_report(text: str, name: str = "") -> dict[str, Any]:
    found = headings(text)
    return {
        "summary": summary(text, 4),
        "title": _title(text, found, name),
        "sections": _sections(text, found),
        "findings": _findings(sentences(text)),
        "dates": dates(text),
        "amounts": amounts(text),
    }


def _title(text: str, found: list[Heading], name: str) -> str | None:
    if found and found[0].level == 1 and found[0].line < 10:
        return found[0].text
    if name and "." not in name:
        return name
    first = next((line.strip() for line in text.split("\n") if line.strip()), "")
    return first if 3 < len(first) <= 120 and not first.endswith(".") else None


def _sections(text: str, found: list[Heading]) -> list[dict[str, Any]]:
    lines = text.split("\n")
    ends = [*(heading.line for heading in found[1:]), len(lines)][: len(found)]
    sections = []
    for heading, end in zip(found, ends, strict=True):
        body = "\n".join(lines[heading.line + 1 : end]).strip()
        sections.append(
            {
                "heading": heading.text,
                "level": heading.level,
                "summary": summary(body, 1)[:_LONGEST] if body else "",
            }
        )
    return sections[:200]


def _findings(lines: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in lines:
        if not 30 <= len(line) <= _LONGEST or "\t" in line or line.startswith("#"):
            continue
        for kind, pattern in (
            ("recommendation", _RECOMMENDS),
            ("risk", _RISKS),
            ("finding", _FINDS),
            ("figure", _FIGURE),
        ):
            if pattern.search(line):
                found.append({"text": line, "kind": kind})
                break
        if len(found) == 60:
            break
    return found
