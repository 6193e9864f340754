# ruff: noqa: E501 - tables, an entry a line
"""Contracts, by rules: who, when, how much, what is agreed, who must do what, and which risks to check."""

from __future__ import annotations

import re
from typing import Any

from analysis.figures import amounts, dates
from analysis.language import FORM, flat, sentences, summary

_NAME = r"[A-Z\u00c0-\u00de][\w&.,'\u2019\u00c0-\u00ff-]*(?:\s+(?:of|and|the|&|de|für|[A-Z\u00c0-\u00de0-9][\w&.'\u2019-]*)){0,8}"
_BETWEEN = re.compile(r"\b(?:by\s+and\s+)?(?:between|zwischen)\s*:?\s+(?P<body>.{10,1200})", re.I | re.S)
_ALIAS = re.compile(
    r"\((?:[^()]{0,60}?)?[\"\u201c\u201d\u201e'\u2018](?:the\s+)?(?P<role>[A-Z][\w -]{1,40}?)[\"\u201c\u201d'\u2019][^()]{0,60}\)"
)
_LABELLED = re.compile(
    r"^\s*(?P<role>Client|Customer|Supplier|Vendor|Provider|Service Provider|Contractor|Consultant|Buyer|Seller|Landlord|Tenant|"
    r"Lessor|Lessee|Licensor|Licensee|Employer|Employee|Lender|Borrower|Party [A-Z12]|Auftraggeber|Auftragnehmer|Käufer|Verkäufer|"
    r"Mieter|Vermieter)\s*:\s*(?P<name>\S.{2,100})$",
    re.M,
)
_COMPANY = re.compile(rf"(?P<name>(?:[A-Z\u00c0-\u00de][\w&'\u2019.-]*,?\s+){{1,5}}{FORM})")

_TERMS = (
    (
        "Governing law",
        r"governed by|governing law|laws of (?:the )?[A-Z]|anwendbares recht|unterliegt dem recht",
    ),
    ("Jurisdiction", r"jurisdiction|courts? of|arbitration|gerichtsstand"),
    (
        "Term",
        r"\bterm of (?:this|the) |initial term|shall remain in (?:force|effect)|for a (?:period|term) of|laufzeit",
    ),
    (
        "Termination",
        r"may (?:be )?terminat|terminat\w+ (?:this|the) (?:agreement|contract)|notice of termination|kündig",
    ),
    ("Renewal", r"renew|verlänger"),
    (
        "Payment",
        r"payment terms|shall pay|payable|invoices? (?:are|is|shall be)|within \w+ (?:\(\d+\) )?days (?:of|after|from)|zahlbar",
    ),
    ("Confidentiality", r"confidential|vertraulich"),
    ("Liability", r"liabilit|haftung"),
    ("Indemnity", r"indemnif|hold harmless|freistell"),
    (
        "Intellectual property",
        r"intellectual property|copyright|ownership of|work product|work made for hire",
    ),
    ("Warranty", r"warrant(?:y|s|ies)|gewährleist"),
    ("Force majeure", r"force majeure|höhere gewalt"),
    ("Assignment", r"\bassign(?:ed|ment|s)?\b|abtret"),
    ("Data protection", r"data protection|personal data|gdpr|dsgvo|privacy"),
)
_RISKS = (
    (
        "Unlimited liability",
        "high",
        r"unlimited liabilit|without (?:any )?limit(?:ation)? (?:of|on|to) liabilit|liabilit\w* (?:shall be|is) unlimited",
    ),
    (
        "Automatic renewal",
        "medium",
        r"automatic(?:ally)? renew|renews? automatically|verlängert sich automatisch",
    ),
    ("Indemnity to give", "medium", r"shall (?:fully )?(?:defend|indemnif)|agrees to (?:defend|indemnif)"),
    ("Penalty or liquidated damages", "high", r"liquidated damages|penalt(?:y|ies)|vertragsstrafe"),
    ("Interest on late payment", "low", r"late (?:payment|fee|charge)|interest (?:at|of)|verzugszins"),
    (
        "Termination without cause",
        "medium",
        r"terminat\w+[^.]{0,80}(?:without cause|for convenience|at any time|for any reason)",
    ),
    ("Exclusivity", "medium", r"\bexclusiv(?:e|ity|ely)\b(?! (?:of|jurisdiction|venue))"),
    ("Non-compete", "high", r"non-?compet|shall not compete|wettbewerbsverbot"),
    (
        "One side may change the terms",
        "high",
        r"(?:sole|absolute) discretion|reserves the right to (?:change|modify|amend)",
    ),
    ("No warranty", "medium", r"\bas[ -]is\b|without warrant|disclaims? (?:all|any) warrant"),
    ("Personal guarantee", "high", r"personal(?:ly)? guarant"),
    ("Irrevocable grant", "medium", r"\birrevocabl[ey]|in perpetuity|perpetual"),
)
_MISSING = (
    ("No governing law is named", "medium", "Governing law"),
    ("No way to terminate is described", "medium", "Termination"),
    ("Liability is not addressed", "medium", "Liability"),
)
_MUST = re.compile(
    r"\b(?:shall(?! mean)|must|agrees? to|undertakes? to|is (?:required|obliged|obligated) to|are (?:required|obliged|obligated) to|covenants? to|verpflichtet sich|ist verpflichtet|hat zu|will (?:pay|provide|deliver|supply|perform|maintain|ensure))\b",
    re.I,
)
_SUBJECT = re.compile(
    r"^(?:(?:\(?\w{1,3}[.)]|\d+(?:\.\d+)*\.?)\s+)?(?:[^,]{0,80},\s+)?(?:(?:[Tt]he|[Ee]ach|[Ee]ither|[Nn]either|[Bb]oth|[Dd]er|[Dd]ie)\s+)?(?P<party>[A-Z][\w-]*(?:\s[A-Z][\w-]*){0,3})\s*$"
)
_LONGEST = 600


def analyze_contract(text: str) -> dict[str, Any]:
    lines = sentences(text)
    terms, parties = _terms(lines), _parties(text)
    return {
        "summary": summary(text),
        "parties": parties,
        "dates": dates(text),
        "amounts": amounts(text),
        "key_terms": terms,
        "obligations": _obligations(lines, [party["role"] for party in parties if party["role"]]),
        "risks": _risks(lines, {term["term"] for term in terms}),
    }


def _parties(text: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, role: str | None) -> None:
        name = re.sub(r"^(?:and|between|by|the)\s+", "", flat(name).strip(" ,;:"), flags=re.I)
        if not re.search(rf"\s{FORM}$", name):
            name = name.rstrip(".")
        if len(name) > 2 and len(found) < 12:
            found.setdefault(name.lower(), {"name": name, "role": role})

    start = text[:6000]
    between = _BETWEEN.search(start)
    if between:
        body, begin = flat(between["body"]), 0
        for match in _ALIAS.finditer(body):
            add(_name_in(body[begin : match.start()]), flat(match["role"]))
            begin = match.end()
        if not found:
            for part in re.split(r"\s+(?:and|und)\s+", re.split(r"\.\s+[A-Z]", body)[0])[:4]:
                add(_name_in(part), None)
    for match in _LABELLED.finditer(start):
        add(re.split(r",\s(?!(?:Inc|LLC|Ltd|GmbH|Corp))|\s{2,}|\t", match["name"])[0], match["role"])
    if not found:
        for match in _COMPANY.finditer(flat(start)):
            add(match["name"], None)
            if len(found) == 2:
                break
    return list(found.values())


def _name_in(part: str) -> str:
    """The party a description begins with: up to its first comma, unless that leads to a company's form."""
    part = re.sub(r"^[\s,;:]*(?:(?:\(?\d\)|and|und|by|between)\s+)*", "", part)
    name = re.split(
        rf",(?!\s*{FORM})\s*|\s+\(|\s+(?:a|an|with|having|located|residing|whose)\s", part, maxsplit=1
    )[0]
    return name if name[:1].isupper() and len(name) <= 100 else ""


def _terms(lines: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in lines:
        defined = re.search(
            r"[\"\u201c](?P<term>[A-Z][^\"\u201d]{1,60})[\"\u201d]\s+(?:means|shall mean|refers to)\b", line
        )
        if defined and len(found) < 25:
            found.append({"term": defined["term"], "text": line[:_LONGEST]})
    for term, pattern in _TERMS:
        hit = next((line for line in lines if re.search(pattern, line, re.I) and len(line) > 30), None)
        if hit:
            found.append({"term": term, "text": hit[:_LONGEST]})
    return found


def _obligations(lines: list[str], roles: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    named = "|".join(map(re.escape, roles))
    # "The Provider delivers …" binds as much as "shall deliver" does.
    present = re.compile(rf"(?:The )?(?P<party>{named}) (?!is |has |was |does )[a-z]+s\b") if named else None
    for line in lines:
        if len(line) < 25:
            continue
        plain = present.match(line) if present else None
        must = _MUST.search(line)
        if not plain and not must:
            continue
        subject = plain or (_SUBJECT.match(line[: must.start()]) if must else None)
        found.append({"party": subject["party"] if subject else None, "text": line[:_LONGEST]})
        if len(found) == 60:
            break
    return found


def _risks(lines: list[str], terms: set[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"risk": risk, "severity": severity, "text": hit[:_LONGEST]}
        for risk, severity, pattern in _RISKS
        if (hit := next((line for line in lines if re.search(pattern, line, re.I)), None))
    ]
    found += [
        {"risk": risk, "severity": severity, "text": None}
        for risk, severity, term in _MISSING
        if term not in terms
    ]
    order = {"high": 0, "medium": 1, "low": 2}
    return sorted(found, key=lambda entry: order[str(entry["severity"])])
