"""From bytes to text: real documents, and hostile ones."""

import contextlib
import io
import zipfile
from email.message import EmailMessage
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import FAULTS
from durable_lambda.worker import Permanent, run_limited
from reading.__main__ import main, tidy
from reading.fault import Unreadable
from reading.sniff import DOCX, HTML, MAIL, MARKDOWN, PDF, TEXT, sniff
from reading.text import decode

DOCUMENTS = Path(__file__).parent / "documents"


def word(*paragraphs: str) -> bytes:
    document = docx.Document()
    document.add_heading("Quarterly report", 1)
    for text in paragraphs:
        document.add_paragraph(text)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Parcels", "412,600"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "Grüße, a contract"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0000"
    message.set_content("Plain words: café.", charset="iso-8859-1")
    message.add_alternative("<p>HTML words</p>", subtype="html")
    message.add_attachment("An attached note.", filename="note.txt")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="a.pdf")
    return message.as_bytes()


WEB_PAGE = """<!doctype html><html><head><title>Terms</title><style>p{}</style><script>evil()</script></head>
<body><h1>Terms of use</h1><p>One&nbsp;paragraph,<br>two lines.</p><ul><li>First</li><li>Second</li></ul>
<table><tr><td>a</td><td>b</td></tr></table></body></html>"""
NOTES = "# Notes\n\n- one\n- two\n\nSee [this](https://example.com) and **that**.\n"


def read(tmp_path: Path, data: bytes, name: str = "", declared: str = "") -> tuple[str, dict[str, object]]:
    """Sniff and read; raises what either says."""
    source, target = tmp_path / "document", tmp_path / "text"
    source.write_bytes(data)
    media_type = sniff(source, name, declared)
    found = main([str(source), media_type, str(target)])
    if "fault" in found:
        raise Unreadable(**found["fault"])
    return target.read_text(encoding="utf-8"), {"mediaType": media_type, **found}


# ---------------------------------------------------------------- every format


def test_pdf(tmp_path: Path) -> None:
    text, found = read(tmp_path, (DOCUMENTS / "two-pages.pdf").read_bytes(), "a.pdf")
    assert (found["mediaType"], found["pages"]) == (PDF, 2)
    assert "governed by the laws of France" in text
    assert text.index("Service Agreement") < text.index("\f") < text.index("EUR 1,234.56")


def test_pdf_with_only_an_owner_password_is_readable(tmp_path: Path) -> None:
    text, _ = read(tmp_path, (DOCUMENTS / "owner-password.pdf").read_bytes())
    assert "Second page" in text


def test_word(tmp_path: Path) -> None:
    text, found = read(tmp_path, word("Delivered on the promised day rose to 96.8 %."), "report.docx")
    assert found["mediaType"] == DOCX
    assert "# Quarterly report" in text
    assert "96.8 %" in text
    assert "Parcels\t412,600" in text


def test_html(tmp_path: Path) -> None:
    text, found = read(tmp_path, WEB_PAGE.encode(), "terms.html")
    assert (found["mediaType"], found["title"]) == (HTML, "Terms")
    assert "evil" not in text
    assert "# Terms of use" in text
    assert "One paragraph,\ntwo lines." in text
    assert "- First" in text


def test_mail(tmp_path: Path) -> None:
    text, found = read(tmp_path, mail(), "letter.eml")
    assert (found["mediaType"], found["title"]) == (MAIL, "Grüße, a contract")
    assert "Plain words: café." in text
    assert "HTML words" not in text
    assert "An attached note." in text
    assert "[Attachment: a.pdf, application/pdf]" in text


def test_markdown_and_text(tmp_path: Path) -> None:
    assert read(tmp_path, NOTES.encode(), "notes.md")[1]["mediaType"] == MARKDOWN
    # A name is no promise among texts.
    assert read(tmp_path, NOTES.encode(), "notes.txt")[1]["mediaType"] == MARKDOWN
    assert read(tmp_path, b"Just words, nothing more.", "notes.txt")[1]["mediaType"] == TEXT


GERMAN = "Die Prüfung der Verträge über größere Mengen ergab: Müller schuldet 1.234,56 €. " * 6
RUSSIAN = "Договор поставки заключён между продавцом и покупателем в городе Москве. " * 8


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"), (GERMAN, "utf-8-sig"), (GERMAN, "utf-16"), (GERMAN, "utf-16-le"), (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32"), (GERMAN, "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (RUSSIAN, "utf-8"),
        ("契約は東京地方裁判所の管轄とする。支払期限は三十日である。" * 8, "shift_jis"),
    ],
)  # fmt: skip
def test_text_in_any_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    found, _ = read(tmp_path, text.encode(encoding))
    assert found.strip() == text.strip()


@given(st.binary(max_size=3000))
def test_decoding_never_fails(data: bytes) -> None:
    assert isinstance(tidy(decode(data)), str)


# ---------------------------------------------------------------- what cannot be read, and why

TWO_PAGES = (DOCUMENTS / "two-pages.pdf").read_bytes()
PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "a.pdf", "document_empty"),
        (b"   \n\t ", "a.txt", "document_without_text"),
        ((DOCUMENTS / "encrypted.pdf").read_bytes(), "a.pdf", "document_encrypted"),
        ((DOCUMENTS / "picture-only.pdf").read_bytes(), "a.pdf", "document_without_text"),
        (TWO_PAGES[: len(TWO_PAGES) // 2], "a.pdf", "document_truncated"),
        (b"%PDF-1.7\nnothing of the kind\nstartxref\n9\n%%EOF\n", "a.pdf", "document_corrupt"),
        (PICTURE, "a.pdf", "media_type_mismatch"),
        (PICTURE, "a.png", "media_type_unsupported"),
        (WEB_PAGE.encode(), "contract.pdf", "media_type_mismatch"),
        (TWO_PAGES, "contract.docx", "media_type_mismatch"),
        (TWO_PAGES, "contract.txt", "media_type_mismatch"),
        (word("x")[:-200], "a.docx", "document_truncated"),
        (b"\x7fELF" + b"\0" * 50, "", "media_type_unsupported"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "", "document_encrypted"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.doc", "media_type_unsupported"),
        (bytes(range(256)) * 20, "", "media_type_unsupported"),
    ],
)  # fmt: skip
def test_each_has_its_code(tmp_path: Path, data: bytes, name: str, code: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, data, name)
    assert caught.value.code == code
    assert caught.value.message.endswith(".") or code == "document_corrupt"


def test_declared_type_counts_where_the_name_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="declares application/pdf"):
        read(tmp_path, WEB_PAGE.encode(), "download", PDF)


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    file = io.BytesIO(word("x"))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/bomb", b"\0" * 310_000_000)
    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, file.getvalue(), "a.docx")
    assert caught.value.code == "document_too_complex"


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_damaged_document_is_read_or_refused_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = data.draw(st.sampled_from([word("Some words."), mail(), WEB_PAGE.encode()]))
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 12))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Unreadable):
        read(tmp_path_factory.mktemp("d"), bytes(broken))


# ---------------------------------------------------------------- in a process of its own


async def test_the_reader_answers_from_its_process(tmp_path: Path) -> None:
    source, target = DOCUMENTS / "two-pages.pdf", tmp_path / "text"
    found = await run_limited(
        "reading", str(source), PDF, str(target), seconds=30, memory_mb=768, reads=[source], writes=[target]
    )
    assert found["pages"] == 2
    assert found["characters"] == len(target.read_text())


async def test_a_fault_of_the_document_is_told_from_its_process(tmp_path: Path) -> None:
    source, target = DOCUMENTS / "encrypted.pdf", tmp_path / "text"
    with pytest.raises(Permanent) as caught:
        await run_limited(
            "reading", str(source), PDF, str(target),
            seconds=30, memory_mb=768, reads=[source], writes=[target], codes=FAULTS,
        )  # fmt: skip
    assert caught.value.code == "document_encrypted"
