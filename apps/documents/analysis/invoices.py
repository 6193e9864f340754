# ruff: noqa: E501, RUF001 - tables, an entry a line
"""Invoices, by rules: number, dates, who to whom, lines, totals, and whether the figures agree."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from analysis.figures import amounts, first_date, number_of
from analysis.language import FORM

_NUMBER = re.compile(
    r"(?:invoice|rechnung|facture|bill)s?[\s-]*(?:number|no\.?|nr\.?|n°|num\.?|#|id|nummer)?\s*[:#]?\s*(?P<n>[A-Z]{0,6}[-/]?\d[\w/-]{1,30})",
    re.I,
)
_ISSUED = re.compile(
    r"(?:invoice date|date of issue|issue date|issued(?: on)?|rechnungsdatum|date de facture|^date|^datum)\s*[:.]?\s*(?P<rest>[^\n]{4,40}(?:\n[^\n]{4,30})?)",
    re.I | re.M,
)
_DUE = re.compile(
    r"(?:due date|payment due|due(?: on| by)?|pay by|payable by|fällig(?: am| bis)?|zahlbar bis|échéance)\s*[:.]?\s*(?P<rest>[^\n]{4,40}(?:\n[^\n]{4,30})?)",
    re.I,
)
_SELLER = re.compile(
    r"^\s*(?:from|seller|vendor|supplier|issued by|rechnungssteller|verkäufer)\s*(?::[ \t]*(?P<name>[^\n]*)|)$\n?(?P<next>[^\n]*)",
    re.I | re.M,
)
_BUYER = re.compile(
    r"^\s*(?:bill(?:ed)? to|invoice to|invoiced to|sold to|to|buyer|customer|client|rechnung an|kunde|empfänger)\s*(?::[ \t]*(?P<name>[^\n]*)|)$\n?(?P<next>[^\n]*)",
    re.I | re.M,
)
_COMPANY = re.compile(rf"^(?P<name>[^\d\n:]{{2,70}}?\s{FORM})(?:[\s,].*)?$", re.M)
_FIGURE = r"-?(?:\d{1,3}(?:[ ,.'\u2019]\d{3})+|\d+)(?:[.,]\d{1,4})?"
_MARK = r"(?:US\$|[$€£¥]|[A-Z]{3})?\s?"
_LINE = re.compile(
    rf"^(?:(?P<what>\S.*?)[\s|]+)?(?P<qty>\d+(?:[.,]\d{{1,3}})?)\s*(?:x|×|pcs?\.?|h|hrs?|hours?|days?|units?|Stk\.?|Std\.?)?[\s|@]+{_MARK}(?P<unit>{_FIGURE})(?:\s?[€£])?[\s|]+(?:\d{{1,2}}(?:[.,]\d)?\s?%[\s|]+)?{_MARK}(?P<sum>{_FIGURE})\s?(?:[€£]|[A-Z]{{3}})?\s*\|?\s*$"
)
_TABLE_HEAD = re.compile(
    r"(?:description|item|bezeichnung|leistung|designation).*(?:amount|price|total|betrag|preis|qty|quantity|menge)",
    re.I,
)
_PLAIN = re.compile(
    rf"^(?P<what>[^\W\d_].*?[^\W\d_].*?)[\s|:.]{{2,}}(?:US\$|[$€£¥]|EUR|USD|GBP|CHF)?\s?(?P<sum>{_FIGURE}[.,]\d{{2}}|{_FIGURE})\s?(?:€|£|EUR|USD|GBP|CHF)?\s*$"
)
_NET = r"sub-?\s?total|net(?:\s+(?:amount|total|value))?|zwischensumme|netto(?:betrag)?|total ht"
_TAX = r"(?:vat|tax|gst|hst|sales tax|mwst\.?|ust\.?|umsatzsteuer|mehrwertsteuer|tva)"
_GROSS = r"(?:grand\s+|invoice\s+)?total(?:\s+(?:due|amount(?:\s+due)?|payable|to pay|ttc|gross))?|amount\s+(?:due|payable)|balance\s+due|gesamt(?:betrag|summe)?|rechnungsbetrag|brutto(?:betrag)?|zu zahlen"
_SKIPPED = re.compile(
    rf"\b(?:{_NET}|{_TAX}|{_GROSS}|discount|shipping total|paid|iban|page|phone|tel|due|date|number|rate)\b",
    re.I,
)
_CENT = Decimal("0.02")


def analyze_invoice(text: str) -> dict[str, Any]:
    number = next((m["n"] for m in _NUMBER.finditer(text) if any(c.isdigit() for c in m["n"])), None)
    lines = _lines(text)
    totals = _totals(text)
    currency = next((a["currency"] for a in amounts(text) if a["currency"]), None) or _code(text)
    issued = _dated(_ISSUED, text) or first_date(text)
    due = _dated(_DUE, text)
    seller, buyer = _who(_SELLER, text), _who(_BUYER, text)
    # Without labels, the head of an invoice names the sender first, then the recipient.
    named = list(dict.fromkeys(m["name"].strip() for m in _COMPANY.finditer(text[:2000])))
    seller = seller or next((name for name in named if name != buyer), None)
    buyer = buyer or next((name for name in named if name != seller), None)
    gross = totals.get("gross")
    parts = [f"Invoice {number or 'without a number'}"]
    parts += [f"from {seller}"] if seller else []
    parts += [f"to {buyer}"] if buyer else []
    parts += [f"of {issued}"] if issued else []
    parts += [f"over {gross} {currency or ''}".rstrip()] if gross else []
    parts += [f"due {due}"] if due else []
    return {
        "summary": " ".join(parts) + f", {len(lines)} lines.",
        "number": number,
        "issued_on": issued,
        "due_on": due,
        "seller": seller,
        "buyer": buyer,
        "currency": currency,
        "lines": lines[:500],
        "totals": totals,
        "checks": _checks(lines, totals),
    }


def _dated(pattern: re.Pattern[str], text: str) -> str | None:
    return next((day for m in pattern.finditer(text) if (day := first_date(m["rest"]))), None)


def _code(text: str) -> str | None:
    found = re.search(r"\b(USD|EUR|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|INR)\b", text)
    return found[1] if found else None


def _who(pattern: re.Pattern[str], text: str) -> str | None:
    for match in pattern.finditer(text):
        name = ((match["name"] or "").strip() or match["next"].strip()).split("\t")[0].strip(" ,:|")
        if 2 < len(name) <= 100 and any(c.isalpha() for c in name):
            return name
    return None


def _lines(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    above: list[str] = []  # of an entry whose figures stand on a line of their own
    for raw in text.split("\n"):
        line = raw.strip().strip("|").strip()
        if not line or len(line) > 300 or _TABLE_HEAD.search(line):
            above.clear()
            continue
        match = _LINE.match(line)
        entry = _entry(match, above) if match else None
        if entry:
            found.append(entry)
            above.clear()
        elif not match and (plain := _PLAIN.match(line)) and _is_plain(plain, found):
            amount = str(number_of(plain["sum"]))
            found.append({"description": plain["what"].strip(" |\t-:."), "amount": amount})
        else:
            above = [*above[-2:], line]
    return found


def _entry(match: re.Match[str], above: list[str]) -> dict[str, Any] | None:
    """A line of the invoice if quantity times price is its amount; else None: just three figures in a row."""
    what = (match["what"] or "").strip(" |\t-")
    if re.match(rf"(?:{_NET}|{_TAX}|{_GROSS})\b", what, re.I):
        return None
    quantity, unit, amount = (number_of(match[name]) for name in ("qty", "unit", "sum"))
    if quantity is None or unit is None or amount is None:
        return None
    if abs(quantity * unit - amount) > max(_CENT, abs(amount) / 100):
        return None
    if not any(c.isalpha() for c in what):
        what = " ".join(above)
    what = re.sub(r"^\d{1,3}[.)]?\s+(?=\S)", "", what)
    if not any(c.isalpha() for c in what):
        return None
    return {"description": what, "quantity": str(quantity), "unit_price": str(unit), "amount": str(amount)}


def _is_plain(plain: re.Match[str], found: list[dict[str, Any]]) -> bool:
    """Whether a description and one amount are a line: only if no line of the invoice has a quantity."""
    counted = any("quantity" in entry for entry in found)
    return not counted and not _SKIPPED.search(plain["what"]) and bool(re.search(r"[.,]\d{2}$", plain["sum"]))


def _totals(text: str) -> dict[str, Any]:
    totals: dict[str, Any] = {}

    def last(label: str) -> tuple[Decimal | None, str]:
        pattern = re.compile(
            rf"(?:^|[\s|])(?:{label})\b(?P<between>[^\d\n-]*(?:\(?\d{{1,2}}(?:[.,]\d{{1,2}})?\s?%\)?[^\d\n-]*)?)(?:\n\s*)?{_MARK}(?P<n>{_FIGURE})(?!\s?%)",
            re.I,
        )
        hits = list(pattern.finditer(text))
        return (number_of(hits[-1]["n"]), hits[-1]["between"]) if hits else (None, "")

    net, _ = last(_NET)
    tax, between = last(_TAX)
    gross, _ = last(rf"(?<!sub)(?<!sub-)(?<!sub )(?:{_GROSS})")
    rate = re.search(r"(\d{1,2}(?:[.,]\d{1,2})?)\s?%", between) or re.search(
        rf"{_TAX}[^\n%]{{0,20}}?(\d{{1,2}}(?:[.,]\d{{1,2}})?)\s?%", text, re.I
    )
    for name, value in (("net", net), ("tax", tax), ("gross", gross)):
        if value is not None:
            totals[name] = str(value)
    if rate:
        totals["tax_rate"] = str(number_of(rate[1]))
    return totals


def _checks(lines: list[dict[str, Any]], totals: dict[str, Any]) -> list[str]:
    found: list[str] = []
    value = {name: Decimal(text) for name, text in totals.items()}
    summed = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
    base = value.get("net") or (value["gross"] - value.get("tax", Decimal(0)) if "gross" in value else None)
    if lines and base is not None and abs(summed - base) > _CENT:
        found.append(f"The lines add up to {summed}, the invoice says {base}.")
    if {"net", "tax", "gross"} <= value.keys() and abs(value["net"] + value["tax"] - value["gross"]) > _CENT:
        found.append(f"{value['net']} net and {value['tax']} tax do not make {value['gross']}.")
    if {"net", "tax", "tax_rate"} <= value.keys() and abs(
        value["net"] * value["tax_rate"] / 100 - value["tax"]
    ) > Decimal("0.05"):
        found.append(f"{value['tax_rate']} % of {value['net']} is not {value['tax']}.")
    return found
