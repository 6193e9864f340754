# /// script
# requires-python = ">=3.11"
# dependencies = ["reportlab==4.4.4", "python-docx==1.2.0"]
# ///
# ruff: noqa: E501 - prose
"""Writes the sample documents into samples/documents/: uv run apps/documents/samples/make_samples.py

The documents are committed. The script writes the same bytes each time: dates and identifiers are fixed.
"""

import datetime
import io
import zipfile
from pathlib import Path

from docx import Document
from docx.shared import Pt
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

HERE = Path(__file__).parent / "documents"
STYLES = getSampleStyleSheet()
BODY = ParagraphStyle("body", parent=STYLES["BodyText"], fontSize=10, leading=14, spaceAfter=6)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=8, leading=11, textColor=colors.HexColor("#555555"))

CONTRACT = [
    (
        "1. Subject matter",
        "The Provider shall maintain and support the Customer's document archive, consisting of two application "
        "servers, one database and the nightly backup, at the Customer's premises in Rotterdam and in the Provider's "
        "data centre in Eindhoven. The scope of each service is set out in Annex A, which forms part of this Agreement.",
    ),
    (
        "2. Term",
        "This Agreement takes effect on 1 March 2026 and runs for twenty-four (24) months. It is extended by twelve (12) "
        "months at a time unless a party gives written notice of non-renewal at least ninety (90) days before "
        "the end of the current term.",
    ),
    (
        "3. Service levels",
        "The archive is available on 99.5 % of the hours of each calendar month, scheduled maintenance excepted. "
        "Incidents of priority one are answered within one (1) hour, at any time; incidents of priority two within four (4) "
        "business hours. For each full percent by which availability falls short, the Customer is credited 5 % of the "
        "monthly fee, up to 25 %.",
    ),
    (
        "4. Fees and payment",
        "The Customer pays a monthly fee of EUR 4,850.00, excluding VAT, invoiced in advance on the first business day "
        "of the month and payable within thirty (30) days of the date of the invoice. Work outside the scope of Annex A is "
        "charged at EUR 135.00 an hour after written approval. Late payments bear interest at eight (8) percentage points "
        "above the base rate of the European Central Bank. Fees may be adjusted once a year by no more than the change "
        "of the consumer price index published by Statistics Netherlands.",
    ),
    (
        "5. Obligations of the Customer",
        "The Customer grants access to premises and systems, names one contact person with authority to decide, and "
        "reports incidents through the Provider's ticket system. The Customer remains responsible for the lawfulness of the "
        "documents it stores.",
    ),
    (
        "6. Confidentiality",
        "Each party keeps confidential what it learns of the other's business, during the term and for five (5) years after "
        "it. This does not apply to information that is public, that was known before, or whose disclosure the law requires.",
    ),
    (
        "7. Data protection",
        "The Provider processes personal data on behalf of the Customer only, within the European Economic Area, under the "
        "data processing agreement in Annex B (Article 28 GDPR). A breach of personal data is reported to the Customer without "
        "undue delay and no later than twenty-four (24) hours after it has become known.",
    ),
    (
        "8. Liability",
        "Liability of either party is limited to EUR 250,000.00 for each event and to EUR 500,000.00 in a contract year. The "
        "limitation does not apply to intent, gross negligence, injury to persons or breach of clause 6. Neither party is "
        "liable for loss of profit or for other indirect damage.",
    ),
    (
        "9. Termination",
        "Either party may terminate for cause if the other is in material breach and has not remedied it within thirty (30) "
        "days of written notice. On termination the Provider hands over all data of the Customer in the format in which it is "
        "stored, and deletes its copies within sixty (60) days.",
    ),
    (
        "10. Indemnification",
        "The Provider holds the Customer harmless from claims of third parties that the Provider's software infringes "
        "their intellectual property rights, provided that the Customer gives notice without delay and leaves the defence "
        "to the Provider.",
    ),
    (
        "11. Governing law and jurisdiction",
        "This Agreement is governed by the laws of the Netherlands. The District Court of Rotterdam has exclusive "
        "jurisdiction. Changes to this Agreement are valid only in writing and signed by both parties.",
    ),
]

ITEMS = [
    ("Archive maintenance, March 2026 (contract MA-2026-0117)", 1, 4850.00),
    ("On-site visit Rotterdam, replacement of a failed disk, 12 March 2026", 3, 135.00),
    ("Enterprise SSD 3.84 TB, serial SN-7F20-11983", 2, 612.50),
    ("Restore test of the nightly backup, report included", 1, 480.00),
    ("Travel, 164 km", 164, 0.42),
]

LETTER = """\
Harbour View Housing Association
Tenants' Office, 14 Quay Street, Bristol BS1 4QA

                                                         Bristol, 9 February 2026

To the tenants of 2 to 18 Mariner's Row

Subject: Replacement of the heating system, 2 March to 27 March 2026

Dear tenants,

The two gas boilers that heat your building are twenty-six years old. Last winter they failed
four times, twice over a weekend, and some of you were without hot water for three days. We have
decided to replace them with a heat pump and a small peak boiler. This letter says what will be
done, when, and what we ask of you.

What will be done
  - Monday 2 March to Friday 6 March: the contractor, Severn Heating Ltd, sets up in the courtyard.
    Nine parking places (numbers 11 to 19) are closed until the end of the works.
  - Monday 9 March to Friday 13 March: the new pump is lifted onto the roof of the annexe. On
    Tuesday 10 March the courtyard is closed to everyone from 7 am to 2 pm.
  - Monday 16 March to Wednesday 25 March: radiator valves are exchanged in every flat. This takes
    about ninety minutes a flat. You will find the time of your appointment on the enclosed card.
  - Thursday 26 March: the old boilers are switched off at 8 am. There is no heating and no hot water
    until 6 pm. Electric heaters can be borrowed from the caretaker, Mrs Osei.
  - Friday 27 March: hand-over and inspection.

What it costs
The works cost 318,400 pounds. A grant pays 40 percent; the remainder comes from the reserve fund
the association has built up since 2015. Your rent does not rise because of these works. We expect
the heating cost of an average flat to fall from 1,140 to about 820 pounds a year, and we will
report the real figures to you after the first full winter.

What we ask of you
  1. Please be at home for your appointment, or leave a key with Mrs Osei (flat 2, telephone
     0117 496 0182) by 4 pm on the day before.
  2. Please move furniture at least one metre away from the radiators.
  3. If somebody in your household is ill, very young or frail, tell us before 20 February. We can
     move your appointment, and we have two furnished guest flats for 26 March.

Complaints and questions
Works are noisy only between 8 am and 5 pm on weekdays. If that is not kept to, or something is damaged,
please write to works@harbourview.example or come to the open hour, Thursdays from 5 pm to 7 pm,
in the community room. Damage reported within fourteen days is made good at our expense.

We know that four weeks of works are a burden, and we thank you for your patience.

Yours sincerely,

Eleanor Whitcombe
Head of Property Services
"""

REPORT = [
    (
        "Summary",
        [
            "In the first quarter of 2026 the distribution centre in Leipzig handled 412,600 parcels, 6.1 % more than in the "
            "same quarter of the previous year. The share delivered on the promised day rose from 94.2 % to 96.8 %. Cost per "
            "parcel fell by 3.4 % to EUR 2.27. Two incidents disturbed operations for more than four hours.",
            "We recommend replacing sorter line 2 before the autumn peak and hiring twelve permanent employees for "
            "the late shift. Both are justified below.",
        ],
    ),
    (
        "Volumes",
        [
            "Growth came mainly from returns (+14 %) and from small consignments below two kilograms (+9 %). Bulky goods "
            "declined by 4 %. The busiest day was 2 January, with 7,940 parcels; capacity is 8,200 a day.",
        ],
    ),
    (
        "Incidents",
        [
            "On 19 January the control unit of sorter line 2 failed at 14:10. Parcels were sorted by hand until 21:35; 1,120 of them "
            "left a day late. The unit is eleven years old and spare parts are no longer made. A refurbished unit was fitted, "
            "with a warranty of six months.",
            "On 23 February freezing rain closed the A14 motorway. Forty-one of sixty-three tours left more than two hours "
            "late. Nobody was hurt. The plan for such days has been amended: tours now wait at the depot instead of on the road.",
        ],
    ),
    (
        "Staff and safety",
        [
            "On 31 March, 187 people worked at the centre, 23 of them temporary. Sick leave was 6.9 %, compared with 5.8 % for the "
            "company. It is highest in the late shift, where one position in nine has been vacant since November. "
            "Three reportable accidents occurred, all with pallet trucks; refresher training was completed by 28 March.",
        ],
    ),
    (
        "Risks",
        [
            "Sorter line 2 may fail again in the peak season. A failure of two days in December would cost about EUR 310,000 in "
            "penalties and extra shifts. The collective agreement expires on 31 August 2026; a strike of a week is possible. The "
            "lease of the north yard ends in June 2027 and has not yet been renewed.",
        ],
    ),
    (
        "Recommendations",
        [
            "Replace sorter line 2 by 30 September 2026 (EUR 1.24 million, payback 3.8 years).",
            "Hire twelve permanent employees for the late shift by 1 June 2026 (EUR 418,000 a year, of which EUR 290,000 are saved "
            "on temporary work).",
            "Begin talks on the lease of the north yard in the second quarter.",
        ],
    ),
]
FIGURES = [
    ("Key figure", "Q1 2025", "Q1 2026", "Change"),
    ("Parcels handled", "388,900", "412,600", "+6.1 %"),
    ("Delivered on the promised day", "94.2 %", "96.8 %", "+2.6 points"),
    ("Cost per parcel", "EUR 2.35", "EUR 2.27", "-3.4 %"),
    ("Damaged parcels per 10,000", "7.4", "6.1", "-17.6 %"),
    ("Sick leave", "6.3 %", "6.9 %", "+0.6 points"),
    ("Reportable accidents", "4", "3", "-1"),
]


def pdf(name: str, title: str, story: list) -> None:
    """Write the story as an A4 document whose bytes do not depend on the day."""
    document = SimpleDocTemplate(
        str(HERE / name),
        pagesize=A4,
        title=title,
        author="Durable Lambda samples",
        leftMargin=25 * mm,
        rightMargin=25 * mm,
        topMargin=22 * mm,
        bottomMargin=22 * mm,
        invariant=1,
    )

    def number(canvas, doc) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawRightString(A4[0] - 25 * mm, 12 * mm, f"{title} - page {doc.page}")

    document.build(story, onFirstPage=number, onLaterPages=number)


def contract() -> None:
    """A maintenance agreement of two pages."""
    story = [
        Paragraph("Maintenance and Support Agreement", STYLES["Title"]),
        Paragraph("Contract no. MA-2026-0117", BODY),
        Paragraph(
            "between <b>Brightwater Archives B.V.</b>, Boompjes 40, 3011 XB Rotterdam, the Netherlands, registered with the "
            "Chamber of Commerce under 24398117 (the &ldquo;Customer&rdquo;), and <b>Noordzee Systems B.V.</b>, High Tech Campus 9, "
            "5656 AE Eindhoven, the Netherlands, registered under 17204456 (the &ldquo;Provider&rdquo;).",
            BODY,
        ),
        Spacer(1, 4 * mm),
    ]
    for heading, text in CONTRACT:
        story += [Paragraph(heading, STYLES["Heading3"]), Paragraph(text, BODY)]
    signatures = Table(
        [
            ["Rotterdam, 12 February 2026", "Eindhoven, 16 February 2026"],
            ["\n\n______________________________", "\n\n______________________________"],
            [
                "Brightwater Archives B.V.\nMarit de Vries, managing director",
                "Noordzee Systems B.V.\nJoost Hendriks, director",
            ],
        ],
        colWidths=[80 * mm, 80 * mm],
    )
    signatures.setStyle(TableStyle([("FONTSIZE", (0, 0), (-1, -1), 10), ("LEADING", (0, 0), (-1, -1), 13)]))
    pdf("contract.pdf", "Maintenance and Support Agreement", [*story, Spacer(1, 10 * mm), signatures])


def invoice() -> None:
    """An invoice whose sums are right."""
    net = round(sum(count * price for _, count, price in ITEMS), 2)
    vat = round(net * 0.21, 2)
    rows = [["No.", "Description", "Quantity", "Unit price EUR", "Amount EUR"]]
    for number, (text, count, price) in enumerate(ITEMS, 1):
        rows.append(
            [str(number), Paragraph(text, BODY), str(count), f"{price:,.2f}", f"{count * price:,.2f}"]
        )
    rows += [
        ["", "Subtotal", "", "", f"{net:,.2f}"],
        ["", "VAT 21 %", "", "", f"{vat:,.2f}"],
        ["", "Total due", "", "", f"{net + vat:,.2f}"],
    ]
    table = Table(rows, colWidths=[10 * mm, 78 * mm, 18 * mm, 28 * mm, 28 * mm], repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("FONTSIZE", (0, 0), (-1, -1), 9),
                ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
                ("FONTNAME", (0, -1), (-1, -1), "Helvetica-Bold"),
                ("ALIGN", (2, 0), (-1, -1), "RIGHT"),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
                ("LINEABOVE", (0, -3), (-1, -3), 0.5, colors.black),
                ("LINEABOVE", (0, -1), (-1, -1), 0.8, colors.black),
            ]
        )
    )
    story = [
        Paragraph("Noordzee Systems B.V.", STYLES["Heading2"]),
        Paragraph(
            "High Tech Campus 9, 5656 AE Eindhoven - VAT no. NL817204456B01 - invoices@noordzee.example",
            SMALL,
        ),
        Spacer(1, 8 * mm),
        Paragraph(
            "Brightwater Archives B.V.<br/>Accounts Payable<br/>Boompjes 40<br/>3011 XB Rotterdam", BODY
        ),
        Spacer(1, 6 * mm),
        Paragraph("Invoice INV-2026-00342", STYLES["Title"]),
        Paragraph(
            "Invoice date: 31 March 2026<br/>Due date: 30 April 2026<br/>Purchase order: PO-88214<br/>"
            "Contract: MA-2026-0117<br/>Period of service: 1 to 31 March 2026",
            BODY,
        ),
        Spacer(1, 5 * mm),
        table,
        Spacer(1, 8 * mm),
        Paragraph(
            "Please pay the total due of EUR "
            f"{net + vat:,.2f} within 30 days to IBAN NL91 ABNA 0417 1643 00 (BIC ABNANL2A), quoting the invoice number. Late "
            "payments bear interest as agreed in clause 4 of the contract.",
            BODY,
        ),
        Paragraph("Questions about this invoice: Femke Jansen, +31 40 555 0142.", BODY),
    ]
    pdf("invoice.pdf", "Invoice INV-2026-00342", story)


def report() -> None:
    """A quarterly report, as a word processor stores it."""
    document = Document()
    document.styles["Normal"].font.size = Pt(11)
    document.core_properties.title = "Quarterly report, distribution centre Leipzig, Q1 2026"
    document.core_properties.author = "Operations Leipzig"
    document.core_properties.created = document.core_properties.modified = datetime.datetime(
        2026, 4, 10, 9, 0
    )
    document.add_heading("Quarterly report, Q1 2026", 0)
    document.add_paragraph(
        "Distribution centre Leipzig. Prepared by Katrin Vogel, operations, on 10 April 2026 for the board."
    )
    for heading, paragraphs in REPORT:
        document.add_heading(heading, 1)
        for text in paragraphs:
            document.add_paragraph(text, style="List Number" if heading == "Recommendations" else None)
        if heading == "Summary":
            table = document.add_table(rows=0, cols=4, style="Light Grid Accent 1")
            for row in FIGURES:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
    raw = io.BytesIO()
    document.save(raw)
    # The archive's own dates would make each run's bytes differ.
    with (
        zipfile.ZipFile(raw) as made,
        zipfile.ZipFile(HERE / "report.docx", "w", zipfile.ZIP_DEFLATED) as kept,
    ):
        for name in made.namelist():
            kept.writestr(
                zipfile.ZipInfo(name, (2026, 4, 10, 9, 0, 0)), made.read(name), zipfile.ZIP_DEFLATED
            )


def letter() -> None:
    """A letter as plain text, UTF-8."""
    (HERE / "letter.txt").write_text(LETTER, encoding="utf-8")


if __name__ == "__main__":
    contract()
    invoice()
    report()
    letter()
