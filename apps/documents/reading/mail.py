"""E-mail: its headers, its text (or its HTML as text), its text attachments, and the names of the others."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

from reading.html import html_text
from reading.text import decode

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_ATTACHED_TEXT = {"text/plain", "text/markdown", "text/csv", "text/html"}


def read_mail(path: Path) -> tuple[str, None, str]:
    with path.open("rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101 - what the policy makes
    parts = [f"{name}: {_header(message, name)}" for name in _HEADERS if message[name]]
    parts.append("")
    body = message.get_body(preferencelist=("plain", "html"))
    if isinstance(body, EmailMessage):
        parts.append(_text(body))
    for attached in message.iter_attachments():
        name = attached.get_filename() or "without a name"
        parts.append(f"\n[Attachment: {name}, {attached.get_content_type()}]")
        if attached.get_content_type() in _ATTACHED_TEXT and isinstance(attached, EmailMessage):
            parts.append(_text(attached))
    return "\n".join(parts), None, _header(message, "Subject")


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message[name] or "").split())
    except (
        ValueError,
        IndexError,
        AttributeError,
        TypeError,
    ):  # errors of its parser in hostile headers
        return ""


def _text(part: EmailMessage) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    text = decode(data, part.get_content_charset())
    return html_text(text)[0] if part.get_content_type() == "text/html" and text.strip() else text
