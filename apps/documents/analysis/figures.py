"""Dates and amounts of money, as documents write them."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from analysis.language import flat

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier enero", "february feb februar février fevrier febrero",
            "march mar märz maerz mars marzo", "april apr avril abril", "may mai mayo", "june jun juni juin junio",
            "july jul juli juillet julio", "august aug août aout agosto",
            "september sept sep septembre septiembre", "october oct oktober okt octobre octubre",
            "november nov novembre noviembre", "december dec dezember dez décembre decembre diciembre",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"""\b(?:
      (?P<y1>\d{{4}})-(?P<m1>\d{{2}})-(?P<d1>\d{{2}})
    |
    (?P<d2>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:day\s+of\s+|of\s+|de\s+)?(?P<m2>{_MONTH})\.?,?\s+(?:de\s+)?(?P<y2>\d{{4}})
    | (?P<m3>{_MONTH})\.?\s+(?P<d3>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y3>\d{{4}}) |
    (?P<d4>\d{{1,2}})\.(?P<m4>\d{{1,2}})\.(?P<y4>\d{{4}}) |
    (?P<a5>\d{{1,2}})/(?P<b5>\d{{1,2}})/(?P<y5>\d{{4}}) )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_SYMBOLS = {
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "US$": "USD",
    "CHF": "CHF",
    "₹": "INR",
    "kr": None,
}
_CODES = "USD|EUR|GBP|CHF|JPY|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|INR|CNY|SGD|HKD|ZAR|BRL|MXN|TRY|KRW|ILS|AED"
_WORDS = {
    "dollars": "USD",
    "dollar": "USD",
    "euros": "EUR",
    "euro": "EUR",
    "pounds": "GBP",
    "francs": "CHF",
    "yen": "JPY",
}
_NUMBER = r"\d{1,3}(?:[ ,.'\u2019\u202f]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_MONEY = re.compile(
    rf"""(?<![\w.,])(?:
      (?P<before>US\$|[$€£¥₹]|\b(?:{_CODES})\b)\s?(?P<n1>-?(?:{_NUMBER}))(?P<scale1>\s?(?:thousand|million|billion|[kmKM]\b))?(?![\d])
    |
    (?P<n2>-?(?:{_NUMBER}))(?P<scale2>\s(?:thousand|million|billion))?\s?(?P<after>[€£]|(?:{_CODES}|dollars?|euros?|pounds|francs|yen)\b)
    )""",
    re.VERBOSE,
)
_SCALE = {"thousand": 1000, "k": 1000, "million": 10**6, "m": 10**6, "billion": 10**9}

_MEANINGS = (
    (r"\beffect|commenc|as of|entered into|dated|in kraft", "effective"),
    (r"expir|terminat|until|ends? on|end date", "expires"),
    (r"\bdue\b|payable|pay by|payment|fällig", "due"),
    (r"deliver|complet|milestone|deadline|no later than", "deadline"),
    (r"sign|executed", "signed"),
    (r"invoice date|issued|rechnungsdatum", "issued"),
    (r"renew", "renews"),
)
_MONEY_MEANINGS = (
    (r"\btotal|sum|aggregate|gesamt", "total"),
    (r"\bcap|not exceed|exceed|maximum|liabilit", "limit"),
    (r"penalt|late|interest|liquidated", "penalty"),
    (r"deposit|advance|retainer", "deposit"),
    (r"\brent|month|annual|yearly|per year|fee|price|rate|salary|compensation|pay", "payment"),
)


def number_of(text: str) -> Decimal | None:
    """A number as people write it: 1,234.56 and 1.234,56 and 1 234,56."""
    text = re.sub(r"[\s'\u2019\u202f]", "", text)
    last = max(text.rfind("."), text.rfind(","))
    if last >= 0:
        decimals = len(text) - last - 1
        mark = text[last]
        other = "," if mark == "." else "."
        if decimals == 3 and other not in text and text.count(mark) >= 1 and not text.startswith("0"):
            text = text.replace(mark, "")  # 1.234 and 1,234 are thousands
        else:
            text = text.replace(other, "")
            head, _, tail = text.rpartition(mark)
            text = f"{head.replace(mark, '')}.{tail}"
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def dates(text: str, most: int = 40) -> list[dict[str, Any]]:
    """The text's dates, each once, with what the words around them say."""
    found: dict[str, dict[str, Any]] = {}
    for match in _DATE.finditer(text):
        written = flat(match[0])
        day = iso_of(match)
        meaning = _meaning(text, match, _MEANINGS)
        known = found.setdefault(day or written, {"date": day, "text": written, "meaning": meaning})
        known["meaning"] = known["meaning"] or meaning
        if len(found) >= most:
            break
    return list(found.values())


def first_date(text: str) -> str | None:
    match = _DATE.search(text)
    return iso_of(match) if match else None


def iso_of(match: re.Match[str]) -> str | None:
    """The date in ISO form; None if day and month cannot be told apart, or the day does not exist."""
    g = match.groupdict()
    year = int(next(g[k] for k in ("y1", "y2", "y3", "y4", "y5") if g[k]))
    if g["y5"]:
        a, b = int(g["a5"]), int(g["b5"])
        if a <= 12 and b <= 12 and a != b:
            return None
        day, month = (a, b) if a > 12 else (b, a)
    else:
        word = g["m2"] or g["m3"]
        month = _MONTHS[word.lower()] if word else int(g["m1"] or g["m4"])
        day = int(next(g[k] for k in ("d1", "d2", "d3", "d4") if g[k]))
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def amounts(text: str, most: int = 40) -> list[dict[str, Any]]:
    """The text's amounts of money, each once."""
    found: dict[tuple[Decimal, str | None], dict[str, Any]] = {}
    for match in _MONEY.finditer(text):
        mark = match["before"] or match["after"]
        value = number_of(match["n1"] or match["n2"])
        if value is None:
            continue
        scale = (match["scale1"] or match["scale2"] or "").strip().lower()
        value *= _SCALE.get(scale, 1)
        currency = (
            _SYMBOLS.get(mark)
            or _WORDS.get(mark.lower())
            or (mark if mark.isupper() and len(mark) == 3 else None)
        )
        meaning = _meaning(text, match, _MONEY_MEANINGS)
        entry = {"value": str(value), "currency": currency, "text": flat(match[0]), "meaning": meaning}
        known = found.setdefault((value, currency), entry)
        known["meaning"] = known["meaning"] or meaning
        if len(found) >= most:
            break
    return list(found.values())


def _meaning(text: str, match: re.Match[str], table: tuple[tuple[str, str], ...]) -> str | None:
    """The meaning that the nearest keyword gives: first those before it in the same line or sentence, then those after."""
    before = re.split(r"[.;]\s|\n\s*\n", text[max(0, match.start() - 90) : match.start()])[-1].lower()
    after = re.split(r"[.;]\s|\n", text[match.end() : match.end() + 60])[0].lower()
    best: tuple[int, str] | None = None
    for pattern, meaning in table:
        for hit in re.finditer(pattern, before):
            if best is None or hit.start() > best[0]:
                best = (hit.start(), meaning)
    if best:
        return best[1]
    return next((meaning for pattern, meaning in table if re.search(pattern, after)), None)
