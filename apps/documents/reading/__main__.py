"""Usage: python -m reading DOCUMENT MEDIA_TYPE TEXT     (in a limited process; see steps/extract_text.py)

Reads DOCUMENT, writes its text to TEXT as UTF-8, and prints `{"characters", "pages", "title"}` or
`{"fault": {"code", "message"}}`.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

from reading.fault import Unreadable

#: The most characters of text that a document may have; documents written for people have fewer.
_MAX_CHARACTERS = 40_000_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_BLANKS = re.compile(r"\n{3,}")


def read(path: Path, media_type: str) -> tuple[str, int | None, str]:
    """The document's text, its number of pages if it has pages, and its title if it has one."""
    # Imported only if needed: a text file must not wait for PDFium to load.
    match media_type:
        case "application/pdf":
            from reading.pdf import read_pdf

            return read_pdf(path)
        case "application/vnd.openxmlformats-officedocument.wordprocessingml.document":
            from reading.docx import read_docx

            return read_docx(path)
        case "text/html":
            from reading.html import read_html

            return read_html(path.read_bytes())
        case "message/rfc822":
            from reading.mail import read_mail

            return read_mail(path)
        case _:
            from reading.text import decode

            return decode(path.read_bytes()), None, ""


def tidy(text: str) -> str:
    """The text in one normal form: composed characters, plain line ends, no control characters, few blank lines."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _CONTROL.sub("", text.replace("\u00a0", " ").replace("\u00ad", ""))
    return (
        _BLANKS.sub("\n\n", "\n".join(line.rstrip(" \t") for line in text.split("\n"))).strip(" \t\n") + "\n"
    )


def main(arguments: list[str]) -> dict[str, Any]:
    source, media_type, target = Path(arguments[0]), arguments[1], Path(arguments[2])
    try:
        text, pages, title = read(source, media_type)
        if len(text) > _MAX_CHARACTERS:
            raise Unreadable("document_too_complex", f"The document has {len(text):,} characters of text.")
        text = tidy(text)
        if not any(character.isalnum() for character in text):
            where = f"None of its {pages} pages has text" if pages else "It has no text"
            raise Unreadable(
                "document_without_text", f"{where}; it may be a scan. Run OCR on it, then retry."
            )
    except Unreadable as fault:
        return {"fault": {"code": fault.code, "message": fault.message}}
    except RecursionError:
        return {"fault": {"code": "document_too_complex", "message": "The document is nested too deeply."}}
    except MemoryError:
        raise  # the parent knows what it means
    except Exception as error:  # a damaged document may make a parser fail in any way
        message = f"The document cannot be read as {media_type}: {type(error).__name__}: {error}"
        return {"fault": {"code": "document_corrupt", "message": message[:500]}}
    target.write_text(text, encoding="utf-8")
    return {"characters": len(text), "pages": pages, "title": title[:300]}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))  # noqa: T201 - the answer
