"""PDF by PDFium: fast, and tolerant of what real programs write."""

from __future__ import annotations

import re
from pathlib import Path

import pypdfium2 as pdfium  # type: ignore[import-untyped]

from reading.fault import Unreadable

_TAIL = 4096
_PASSWORD = 4  # FPDF_ERR_PASSWORD


def read_pdf(path: Path) -> tuple[str, int, str]:
    _whole(path)
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD or "password" in str(error).lower():
            raise Unreadable("document_encrypted", "The PDF asks for a password.") from None
        raise Unreadable("document_corrupt", f"The PDF cannot be opened: {error}") from None
    if len(document) == 0:
        raise Unreadable("document_corrupt", "The PDF has no pages.")
    pages: list[str] = []
    broken = 0
    for index in range(len(document)):
        try:
            page = document[index]
            text = page.get_textpage()
            pages.append(text.get_text_bounded())
            text.close()
            page.close()
        except pdfium.PdfiumError:
            broken += 1
    if broken and not pages:
        raise Unreadable("document_corrupt", f"None of the PDF's {len(document)} pages can be read.")
    try:
        title = document.get_metadata_value("Title")
    except pdfium.PdfiumError:
        title = ""
    return "\n\f\n".join(pages), len(document), title


def _whole(path: Path) -> None:
    """Refuse a PDF that is cut off: PDFium would repair what is there and silently lose the rest."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    last = re.findall(rb"startxref\s+(\d+)", tail)
    if b"%%EOF" not in tail or (last and int(last[-1]) >= size):
        raise Unreadable(
            "document_truncated", f"The PDF breaks off: its end is missing after {size:,} bytes."
        )
