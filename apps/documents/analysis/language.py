"""Sentences, headings, and a summary made of the document's own sentences."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|Inc|Ltd|Co|Corp|LLC|No|Nos|Nr|Art|Sec|para|cf|vs|St|approx|bzw|ca|Abs|z\.B|d\.h|e\.g|i\.e|[A-Z])\.$"
)
_END = re.compile(r"(?<=[.!?])[\"')\]\u201d\u2019]*\s+(?=[\"'(\[\u201c\u2018]?[A-Z\u00c0-\u00de0-9])")
_WORD = re.compile(r"[^\W\d_]{3,}")
_NUMBERED = re.compile(
    r"^(?:(?:article|section|chapter|part|artikel|abschnitt|kapitel)\s+)?(\d{1,2}(?:\.\d{1,2}){0,3})[.):]?\s+(\S.{0,100})$",
    re.I,
)
_STOP = frozenset(
    [
        "the",
        "and",
        "for",
        "that",
        "this",
        "with",
        "from",
        "shall",
        "will",
        "any",
        "all",
        "are",
        "was",
        "were",
        "has",
        "have",
        "had",
        "not",
        "may",
        "its",
        "their",
        "such",
        "other",
        "which",
        "been",
        "upon",
        "under",
        "into",
        "than",
        "each",
        "per",
        "our",
        "your",
        "you",
        "they",
        "them",
        "who",
        "whom",
        "whose",
        "also",
        "but",
        "out",
        "can",
        "could",
        "should",
        "would",
        "must",
        "der",
        "die",
        "das",
        "und",
        "ist",
        "von",
        "mit",
        "den",
        "dem",
        "des",
        "ein",
        "eine",
        "einer",
        "nicht",
        "auf",
        "für",
        "sich",
        "auch",
        "als",
        "bei",
        "oder",
        "nach",
        "wird",
        "werden",
        "sind",
        "les",
        "des",
        "une",
        "dans",
        "pour",
        "que",
        "qui",
        "sur",
        "par",
        "est",
        "sont",
        "avec",
        "aux",
        "ses",
    ]
)


#: What ends a company's name.
FORM = (
    r"(?:Inc|LLC|L\.L\.C|Ltd|Limited|Corp|Corporation|Company|Co|GmbH|AG|KG|SE|S\.A|SAS|B\.V|N\.V|plc|PLC|LLP|LP"
    r"|Pty Ltd|S\.r\.l|SpA|Oy|AB|A/S)(?![\w])\.?"
)


@dataclass(frozen=True)
class Heading:
    line: int
    level: int
    text: str


def flat(text: str) -> str:
    """On one line, single-spaced."""
    return " ".join(text.split())


def sentences(text: str) -> list[str]:
    """The text's sentences, each on one line. Lines that are no sentences (tables, headings) stand alone."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n|\f", text):
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        joined: list[str] = []
        for line in lines:
            if (
                joined
                and not joined[-1].endswith((".", ":", ";", "!", "?"))
                and not line.startswith(("- ", "* ", "#", "|"))
                and "\t" not in line
                and len(joined[-1]) > 45
            ):
                joined[-1] = f"{joined[-1]} {line}"
            else:
                joined.append(line)
        for line in joined:
            found.extend(_split(line))
    return found


def _split(line: str) -> list[str]:
    parts: list[str] = []
    for part in _END.split(flat(line)):
        if parts and _ABBREVIATION.search(parts[-1]):
            parts[-1] = f"{parts[-1]} {part}"
        else:
            parts.append(part)
    return [part for part in parts if part]


def headings(text: str) -> list[Heading]:
    """Headings: marked with #, numbered, or in capitals on a line of their own."""
    lines = text.split("\n")
    found: list[Heading] = []
    for index, raw in enumerate(lines):
        line = raw.strip()
        if not line or len(line) > 120:
            continue
        if marked := re.match(r"(#{1,6})\s+(.+)", line):
            found.append(Heading(index, len(marked[1]), marked[2].strip("# ")))
            continue
        if line.endswith((".", ",", ";")):
            continue
        alone = (index == 0 or not lines[index - 1].strip()) or line.isupper()
        if alone and (numbered := _NUMBERED.match(line)) and numbered[2][0].isupper() and "\t" not in line:
            found.append(Heading(index, numbered[1].count(".") + 1, line))
        elif (
            alone
            and line.isupper()
            and len(_WORD.findall(line)) >= 1
            and not re.search(r"\d{3,}|[:\t]", line)
        ):
            found.append(Heading(index, 1, line.title()))
    return found


def summary(text: str, count: int = 3) -> str:
    """The sentences that carry most of what the text is about, in their order."""
    whole = [
        s
        for s in sentences(text)
        if 40 <= len(s) <= 400
        and s.endswith((".", "!", "?"))
        and "\t" not in s
        and not re.match(r"[a-z\W]", s)
    ]
    if not whole:
        return flat(text)[:300]
    candidates = whole[:2000]
    words = [[w for w in map(str.lower, _WORD.findall(s)) if w not in _STOP] for s in candidates]
    weight = Counter(word for sentence in words for word in set(sentence))
    common = max(weight.values(), default=1)

    def score(index: int) -> float:
        own = words[index]
        if not own:
            return 0.0
        carried = sum(weight[word] / common for word in set(own)) / (len(own) + 4)
        return carried * (1.4 if index < 3 else 1.0 / (1 + index / len(candidates)))

    best = sorted(sorted(range(len(candidates)), key=lambda i: (-score(i), i))[:count])
    return " ".join(candidates[i] for i in best)
