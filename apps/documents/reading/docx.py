"""Word documents by python-docx: paragraphs and tables in their order, headings marked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import docx
from docx.table import Table
from lxml import etree  # type: ignore[import-untyped]

from reading.fault import Unreadable

_MAX_ENTRIES = 10_000
_MAX_UNPACKED = 300_000_000
_END = b"PK\x05\x06"


def read_docx(path: Path) -> tuple[str, None, str]:
    _safe(path)
    try:
        document = docx.Document(str(path))
        parts = list(_parts(document))
    except (
        KeyError,
        ValueError,
        zipfile.BadZipFile,
        etree.LxmlError,
        OSError,
        EOFError,
        AttributeError,
    ) as error:
        raise Unreadable("document_corrupt", f"The Word document cannot be read: {error}") from None
    return "\n".join(parts), None, document.core_properties.title or ""


def _parts(document: docx.document.Document):  # type: ignore[no-untyped-def]
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            for row in item.rows:
                cells: list[str] = []
                for cell in row.cells:
                    text = " ".join(cell.text.split())
                    if not cells or cells[-1] != text:  # a merged cell is repeated in each of its columns
                        cells.append(text)
                yield "\t".join(cells)
            yield ""
            continue
        style = (item.style.name or "") if item.style is not None else ""
        level = style.removeprefix("Heading ")
        if style == "Title":
            level = "1"
        mark = "#" * min(int(level), 6) + " " if level.isdecimal() and item.text.strip() else ""
        yield mark + item.text


def _safe(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 70_000))
            whole = _END in file.read()
        if not whole:
            raise Unreadable(
                "document_truncated", "The Word document breaks off: its table of contents is missing."
            ) from None
        raise Unreadable("document_corrupt", f"The Word document cannot be opened: {error}") from None
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > _MAX_ENTRIES or unpacked > _MAX_UNPACKED:
        raise Unreadable(
            "document_too_complex",
            f"The Word document unpacks to {len(entries):,} parts of {unpacked / 1e6:,.0f} MB.",
        )
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("document_encrypted", "The Word document is password-protected.")
