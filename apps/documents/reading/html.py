"""HTML by lxml: what a reader sees, one line for each block, headings and list items marked."""

from __future__ import annotations

import re

from lxml import etree, html  # type: ignore[import-untyped]

from reading.fault import Unreadable
from reading.text import decode

_HIDDEN = {"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset", "figcaption", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre",
    "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_SPACE = re.compile(r"[ \t\r\n\f]+")
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)


def read_html(data: bytes) -> tuple[str, None, str]:
    declared = _CHARSET.search(data[:4096])
    return html_text(decode(data, declared.group(1).decode("ascii") if declared else None))


def html_text(text: str) -> tuple[str, None, str]:
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        root = html.document_fromstring(text)
    except (etree.LxmlError, ValueError) as error:
        raise Unreadable("document_corrupt", f"The web page cannot be read: {error}") from None
    parts: list[str] = []
    hidden = 0
    for event, element in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        tag = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            hidden += tag in _HIDDEN
            if tag in _BLOCKS:
                parts.append("\n")
            if re.fullmatch("h[1-6]", tag):
                parts.append("\n" + "#" * int(tag[1]) + " ")
            elif tag == "li":
                parts.append("- ")
            if element.text and not hidden:
                parts.append(_SPACE.sub(" ", element.text))
            continue
        if event == "end":
            if tag in _BLOCKS and tag != "br":
                parts.append("\n")
            elif tag in {"td", "th"}:
                parts.append("\t")
            hidden -= tag in _HIDDEN
        if element.tail and not hidden:
            parts.append(_SPACE.sub(" ", element.tail))
    lines = (line.strip() for line in "".join(parts).split("\n"))
    titles = root.xpath("//title/text()")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)), None, str(titles[0]).strip() if titles else ""
