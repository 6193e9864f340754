"""The typed results, one for each job type; the same whether rules or a model found them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Longest list in a result: a checkpoint is read by every status call.
MOST = 60

Sentence = Annotated[str, Field(max_length=2000)]
Severity = Literal["low", "medium", "high"]


class Part(BaseModel):
    """A part of a result. Unknown fields are dropped: models like to add some."""

    model_config = ConfigDict(extra="ignore")


class Party(Part):
    name: str
    role: str | None = Field(
        default=None, description="What the document calls the party, such as Client or Seller"
    )


class When(Part):
    date: str | None = Field(
        default=None, description="ISO date; null where the document is ambiguous (03/04/2025)"
    )
    text: str = Field(description="The date as the document writes it")
    meaning: str | None = Field(
        default=None, description="What happens then: effective, due, signed, expires …"
    )


class Money(Part):
    value: Decimal
    currency: str | None = Field(default=None, description="ISO 4217 code, if it is known")
    text: str = Field(description="The amount as the document writes it")
    meaning: str | None = None


class Term(Part):
    term: str
    text: Sentence


class Obligation(Part):
    party: str | None = None
    text: Sentence


class Risk(Part):
    risk: str
    severity: Severity
    text: Sentence | None = Field(
        None, description="The sentence it follows from; null where something is missing"
    )


class ContractAnalysis(Part):
    """What a contract says."""

    type: Literal["contract"] = "contract"
    summary: str
    parties: list[Party] = Field(default=[], max_length=MOST)
    dates: list[When] = Field(default=[], max_length=MOST)
    amounts: list[Money] = Field(default=[], max_length=MOST)
    key_terms: list[Term] = Field(default=[], max_length=MOST)
    obligations: list[Obligation] = Field(default=[], max_length=MOST)
    risks: list[Risk] = Field(default=[], max_length=MOST)


class InvoiceLine(Part):
    description: str
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    amount: Decimal | None = None


class InvoiceTotals(Part):
    net: Decimal | None = None
    tax: Decimal | None = None
    tax_rate: Decimal | None = Field(default=None, description="Percent")
    gross: Decimal | None = None


class InvoiceAnalysis(Part):
    """What an invoice says."""

    type: Literal["invoice"] = "invoice"
    summary: str
    number: str | None = None
    issued_on: str | None = Field(default=None, description="ISO date")
    due_on: str | None = Field(default=None, description="ISO date")
    seller: str | None = None
    buyer: str | None = None
    currency: str | None = None
    lines: list[InvoiceLine] = Field(default=[], max_length=500)
    totals: InvoiceTotals = Field(default_factory=InvoiceTotals)
    checks: list[str] = Field(default=[], description="Where the invoice's own figures disagree")


class Section(Part):
    heading: str
    level: int = 1
    summary: str = ""


class Finding(Part):
    text: Sentence
    kind: Literal["finding", "figure", "recommendation", "risk"] = "finding"


class ReportAnalysis(Part):
    """What a report says."""

    type: Literal["report"] = "report"
    summary: str
    title: str | None = None
    sections: list[Section] = Field(default=[], max_length=200)
    findings: list[Finding] = Field(default=[], max_length=MOST)
    dates: list[When] = Field(default=[], max_length=MOST)
    amounts: list[Money] = Field(default=[], max_length=MOST)


type Analysis = ContractAnalysis | InvoiceAnalysis | ReportAnalysis

RESULTS: dict[str, type[Analysis]] = {
    "contract": ContractAnalysis,
    "invoice": InvoiceAnalysis,
    "report": ReportAnalysis,
}
