"""The local analyzer: its rules are useful on real documents, and never fail on any text."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.__main__ import analyze
from analysis.figures import amounts, dates, number_of
from analysis.language import headings, sentences
from analysis.model import merge, split
from analysis.results import RESULTS, ContractAnalysis, Part, Party

CONTRACT = """CONSULTING AGREEMENT

This Agreement is entered into as of March 3, 2026 by and between Acme Widgets, Inc., a Delaware corporation
(the "Client"), and Jane Roe Consulting LLC, with offices in Austin, Texas (the "Consultant").

1. Services
The Consultant shall deliver a security review by 30 June 2026. "Confidential Information" means all non-public
information of either party.

2. Payment
The Client shall pay a fixed fee of $45,000.00 within thirty (30) days after receipt of an invoice. Late payments bear
interest at 1.5 % a month. This Agreement renews automatically for one year.

3. Liability
The Consultant accepts unlimited liability for gross negligence. The Consultant agrees to indemnify the Client.

4. Law
This Agreement is governed by the laws of the State of Texas.
"""
INVOICE = """Northwind Traders Ltd
Invoice No: NW-2026/118
Invoice date: 2026-02-10
Due date: 2026-03-12
Bill to: Contoso GmbH

Description\tQty\tUnit price\tAmount
Blue widgets\t10\t12.50\t125.00
Red widgets\t4\t20.00\t80.00

Subtotal £205.00
VAT 20% £41.00
Total due £246.00
"""


def test_contract() -> None:
    found = ContractAnalysis.model_validate(analyze(CONTRACT, "contract"))
    assert [(p.name, p.role) for p in found.parties] == [
        ("Acme Widgets, Inc.", "Client"),
        ("Jane Roe Consulting LLC", "Consultant"),
    ]
    assert {(d.date, d.meaning) for d in found.dates} == {
        ("2026-03-03", "effective"),
        ("2026-06-30", "deadline"),
    }
    assert [(a.value, a.currency, a.meaning) for a in found.amounts] == [
        (Decimal("45000.00"), "USD", "payment")
    ]
    assert {"Confidential Information", "Governing law", "Payment", "Liability"} <= {
        t.term for t in found.key_terms
    }
    owed = {o.party for o in found.obligations}
    assert {"Client", "Consultant"} <= owed
    risks = {r.risk: r.severity for r in found.risks}
    assert risks["Unlimited liability"] == "high"
    assert {
        "Automatic renewal",
        "Interest on late payment",
        "No way to terminate is described",
    } <= risks.keys()
    assert "No governing law is named" not in risks


def test_invoice() -> None:
    found = RESULTS["invoice"].model_validate(analyze(INVOICE, "invoice")).model_dump()
    assert (found["number"], found["issued_on"], found["due_on"]) == (
        "NW-2026/118",
        "2026-02-10",
        "2026-03-12",
    )
    assert (found["seller"], found["buyer"], found["currency"]) == (
        "Northwind Traders Ltd",
        "Contoso GmbH",
        "GBP",
    )
    assert [(line["description"], line["amount"]) for line in found["lines"]] == [
        ("Blue widgets", Decimal("125.00")),
        ("Red widgets", Decimal("80.00")),
    ]
    assert found["totals"] == {
        "net": Decimal("205.00"),
        "tax": Decimal("41.00"),
        "tax_rate": Decimal(20),
        "gross": Decimal("246.00"),
    }
    assert found["checks"] == []


def test_invoice_whose_figures_disagree_says_so() -> None:
    found = analyze(INVOICE.replace("246.00", "264.00").replace("80.00", "88.00"), "invoice")
    assert any("do not make 264.00" in check for check in found["checks"])


def test_report() -> None:
    text = (
        "# Annual report\n\n## Findings\n\nSales rose by 12 % to EUR 3.4 million in 2025, the best year so far.\n\n"
        "## Advice\n\nWe recommend opening a second warehouse before the autumn.\n"
    )
    found = RESULTS["report"].model_validate(analyze(text, "report")).model_dump()
    assert found["title"] == "Annual report"
    assert [s["heading"] for s in found["sections"]] == ["Annual report", "Findings", "Advice"]
    assert [f["kind"] for f in found["findings"]] == ["finding", "recommendation"]
    assert found["amounts"][0]["value"] == Decimal(3_400_000)


@pytest.mark.parametrize("kind", list(RESULTS))
@settings(max_examples=40, deadline=None)
@given(st.text(max_size=600))
def test_any_text_gives_a_result_and_always_the_same(kind: str, text: str) -> None:
    found = analyze(text, kind)
    assert found == analyze(text, kind)
    RESULTS[kind].model_validate(found)


@pytest.mark.parametrize("kind", list(RESULTS))
def test_long_documents_take_seconds_not_minutes(kind: str) -> None:
    import time

    text = (CONTRACT + INVOICE) * 150  # some 200 pages
    started = time.monotonic()
    analyze(text, kind)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.56", "1234.56"), ("1.234,56", "1234.56"), ("1 234,56", "1234.56"), ("1'234.50", "1234.50"),
        ("1,234", "1234"), ("1.234", "1234"), ("12.5", "12.5"), ("0,999", "0.999"), ("1,234,567", "1234567"),
    ],
)  # fmt: skip
def test_numbers(text: str, value: str) -> None:
    assert number_of(text) == Decimal(value)


def test_amounts_and_dates_as_people_write_them() -> None:
    found = amounts("$1,200, 1.234,56 €, CHF 5'000.00, 300 pounds and USD 2.5 million")
    assert [(a["value"], a["currency"]) for a in found] == [
        ("1200", "USD"), ("1234.56", "EUR"), ("5000.00", "CHF"), ("300", "GBP"), ("2500000.0", "USD"),
    ]  # fmt: skip
    text = (
        "On 2026-01-31, 1 March 2026, March 2nd, 2026, 3. März 2026, 04.03.2026, 25/03/2026 and 03/04/2026."
    )
    assert [d["date"] for d in dates(text)] == [
        "2026-01-31", "2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-25", None,
    ]  # fmt: skip


def test_sentences_and_headings() -> None:
    assert sentences("Acme Inc. and Mr. Smith agreed. They signed.") == [
        "Acme Inc. and Mr. Smith agreed.",
        "They signed.",
    ]
    assert [h.text for h in headings("1. Scope\nText.\n\n2.1 Fees\nText.\n\nLIABILITY\nText.")] == [
        "1. Scope",
        "2.1 Fees",
        "Liability",
    ]


@given(st.text(alphabet="ab \n", max_size=500), st.integers(10, 80))
def test_parts_make_the_whole(text: str, size: int) -> None:
    parts = split(text, size)
    assert all(len(part) <= size for part in parts)
    assert "".join(parts).strip() == text.strip() or "".join(parts) == text


def test_parts_of_one_document_become_one_result() -> None:
    one = ContractAnalysis(summary="a", parties=[Party(name="A", role=None)])
    two = ContractAnalysis(summary="b", parties=[Party(name="A", role=None), Party(name="B", role="Client")])
    assert [p.name for p in merge([one, two]).parties] == ["A", "B"]  # type: ignore[union-attr]
    assert isinstance(merge([one]), Part)
