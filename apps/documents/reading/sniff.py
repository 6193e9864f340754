"""Finds out what a document is, by its content. The name is only used to notice that it does not match."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from reading.fault import Unreadable
from reading.text import decode

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
MAIL = "message/rfc822"
MARKDOWN = "text/markdown"
TEXT = "text/plain"

_HEAD = 65_536
_TAIL = 262_144
#: Kinds of content that are refused, and what the message calls them.
_OTHERS = (
    (b"\x89PNG", "a PNG picture"), (b"\xff\xd8\xff", "a JPEG picture"), (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"), (b"MM\0*", "a TIFF picture"), (b"RIFF", "sound, video or a WebP picture"),
    (b"\x1f\x8b", "a gzip archive"), (b"7z\xbc\xaf", "a 7z archive"), (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"), (b"MZ", "a program"), (b"{\\rtf", "an RTF document"), (b"%!PS", "a PostScript document"),
    (b"SQLite format 3", "a SQLite database"), (b"BZh", "a bzip2 archive"), (b"\xfd7zXZ", "an xz archive"),
)  # fmt: skip
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = re.compile(r"^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype\s+html|<html|<head|<body)", re.I | re.S)
_MAIL_HEADER = re.compile(
    r"^(from|to|subject|date|received|return-path|message-id|mime-version|delivered-to):", re.I | re.M
)
_MARKDOWN = (
    re.compile(r"^#{1,6} \S", re.M),
    re.compile(r"^[-*+] \S.*\n[-*+] \S", re.M),
    re.compile(r"\[[^\]\n]+\]\([^)\s]+\)"),
    re.compile(r"^```", re.M),
    re.compile(r"\*\*[^*\n]+\*\*"),
    re.compile(r"^\|.+\|\s*\n\|[ :|-]+\|", re.M),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")

_TEXTUAL = {HTML, MAIL, MARKDOWN, TEXT}
#: The media types that a name stands for. A name does not tell kinds of text apart: a .txt may well be Markdown.
_PROMISES = {".pdf": {PDF}, ".docx": {DOCX}} | dict.fromkeys(
    (".html", ".htm", ".md", ".markdown", ".eml", ".txt", ".text", ".csv"), _TEXTUAL
)
_DECLARED = {PDF: {PDF}, DOCX: {DOCX}}


def sniff(path: Path, name: str, declared: str) -> str:
    """The media type of a document. Raises :class:`Unreadable` if it is empty, unsupported, or not what its name says."""
    size = path.stat().st_size
    if size == 0:
        raise Unreadable("document_empty", "The document has no bytes.")
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    promise = _PROMISES.get(PurePosixPath(name).suffix.lower()) or _DECLARED.get(declared)
    try:
        media_type = _by_content(head, tail)
    except Unreadable as fault:
        if promise and fault.code == "media_type_unsupported":
            raise Unreadable(
                "media_type_mismatch", f"{_claim(name, declared)}, but {_lower(fault.message)}"
            ) from None
        raise
    if promise and media_type not in promise:
        raise Unreadable("media_type_mismatch", f"{_claim(name, declared)}, but its content is {media_type}.")
    return media_type


def _by_content(head: bytes, tail: bytes) -> str:
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith(b"PK\x03\x04"):
        return _zipped(head, tail)
    if head.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in head + tail:
            raise Unreadable("document_encrypted", "The Office document is password-protected.")
        raise Unreadable(
            "media_type_unsupported", "It is an Office document of before 2007; save it as DOCX or PDF."
        )
    for magic, what in _OTHERS:
        if head.startswith(magic) and not (magic == b"MZ" and b"\0" not in head):
            raise Unreadable("media_type_unsupported", f"It is {what}.")
    text = decode(head)
    if len(_CONTROL.findall(text)) > max(2, len(text) // 100):
        raise Unreadable("media_type_unsupported", "Its content is binary, of no kind this worker reads.")
    return _textual(text)


def _zipped(head: bytes, tail: bytes) -> str:
    both = head + tail
    if b"word/" in both:
        return DOCX
    for sign, what in (
        (b"xl/", "an Excel workbook"),
        (b"ppt/", "a presentation"),
        (b"mimetypeapplication/vnd.oasis", "an OpenDocument file"),
    ):
        if sign in both:
            raise Unreadable("media_type_unsupported", f"It is {what}.")
    raise Unreadable("media_type_unsupported", "It is a zip archive.")


def _textual(text: str) -> str:
    if _HTML.match(text):
        return HTML
    header, _, _ = text.replace("\r\n", "\n").lstrip("\ufeff\n").partition("\n\n")
    if (
        re.match(r"[A-Za-z-]+:\s|From \S+", header)
        and len(set(map(str.lower, _MAIL_HEADER.findall(header)))) >= 3
    ):
        return MAIL
    if sum(bool(sign.search(text)) for sign in _MARKDOWN) >= 2:
        return MARKDOWN
    return TEXT


def _claim(name: str, declared: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return f"Its name ends in {suffix}" if suffix in _PROMISES else f"Its source declares {declared}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
