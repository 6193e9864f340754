"""Sends damaged documents to the worker's parsers, and documents that are built to do harm through the HTTP API."""

import base64
import io
import json
import os
import subprocess
import zipfile
import zlib
from collections.abc import Callable

import pytest

from fuzz.table import record
from harness.application import image_of
from harness.documents import accepted, wait_until
from harness.engine import docker, inspect
from harness.machine import ROOT
from harness.stack import Stack

COUNT = int(os.environ.get("FUZZ_DOCUMENTS", "80"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.timeout(7200)
def test_a_damaged_document_is_text_or_a_documented_code() -> None:
    tests, samples = ROOT / "tests" / "fuzz", ROOT / "apps/documents/samples/documents"
    closed = ["--network=none", "--read-only", "--tmpfs=/tmp:size=1g", "--cap-drop=ALL"]
    mounted = [f"--volume={tests}:/fuzz:ro", f"--volume={samples}:/samples:ro", "--env=PYTHONPATH=/app:/fuzz"]
    reader = [
        "--entrypoint=python",
        image_of("worker"),
        "/fuzz/parsers.py",
        "/samples",
        str(COUNT),
        str(SEED),
    ]
    done = subprocess.run(
        ["docker", "run", "--rm", *closed, *mounted, *reader], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    outcomes = found["outcomes"]
    print(f"\ndocuments: {sum(outcomes.values())} inputs {outcomes}, seed {SEED}")
    hangs = outcomes.get("hang", 0)
    record("documents", outcomes, found["failures"] - hangs, hangs, SEED)
    folder = ROOT / "dist" / "fuzz"
    for number, failure in enumerate(found["failed"]):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"document-{number}-{failure['name']}").write_bytes(base64.b64decode(failure["data"]))
    assert not found["failed"], [failure["why"] for failure in found["failed"]]


# ---------------------------------------------------------------- built to do harm


def pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, the first being its catalog."""
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer <</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def stream(data: bytes, filters: int = 1) -> bytes:
    for _ in range(filters):
        data = zlib.compress(data, 1 if len(data) > 10_000_000 else 9)
    names = b"[" + b"/FlateDecode " * filters + b"]"
    return b"<</Length %d /Filter %s>>\nstream\n%s\nendstream" % (len(data), names, data)


FONT = b"<</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>"


def one_page(content: bytes) -> bytes:
    return pdf(
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources <</Font <</F 5 0 R>>>>>>",
        content,
        FONT,
    )


def ten_thousand_pages() -> bytes:
    text = stream(b"BT /F 12 Tf 50 700 Td (A page like any other.) Tj ET")
    page = b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 3 0 R /Resources <</Font <</F 4 0 R>>>>>>"
    kids = b" ".join(b"%d 0 R" % number for number in range(5, 10_005))
    pages = b"<</Type /Pages /Kids [%s] /Count 10000>>" % kids
    return pdf(b"<</Type /Catalog /Pages 2 0 R>>", pages, text, FONT, *[page] * 10_000)


def deeply_nested_pages() -> bytes:
    deep = 5000
    nodes = [b"<</Type /Pages /Kids [%d 0 R] /Count 1>>" % (number + 3) for number in range(deep)]
    return pdf(b"<</Type /Catalog /Pages 2 0 R>>", *nodes, b"<</Type /Page /MediaBox [0 0 9 9]>>")


def pages_that_hold_themselves() -> bytes:
    return pdf(b"<</Type /Catalog /Pages 2 0 R>>", b"<</Type /Pages /Kids [2 0 R 2 0 R] /Count 99999999>>")


def zip_with(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(name, content)
    return file.getvalue()


def entity_bomb() -> bytes:
    entities = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))
    return zip_with(
        "word/document.xml",
        f"<!DOCTYPE d [<!ENTITY a0 'ha'>{entities}]><w:document xmlns:w='x'>&a11;</w:document>".encode(),
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "bomb.pdf": lambda: one_page(stream(b" " * 200_000_000, 3)),
    "operators.pdf": lambda: one_page(stream(b"q " * 3_000_000)),
    "pages.pdf": ten_thousand_pages,
    "nested.pdf": deeply_nested_pages,
    "self.pdf": pages_that_hold_themselves,
    "array.pdf": lambda: pdf(b"<</Type /Catalog /Pages 2 0 R /A %s>>" % (b"[" * 200_000)),
    "bomb.docx": lambda: zip_with("word/document.xml", b" " * 320_000_000),
    "entities.docx": entity_bomb,
    "deep.html": lambda: b"<!doctype html><html>" + b"<div>" * 400_000 + b"words",
    "parts.eml": lambda: b"From: a@b\nTo: c@d\nSubject: s\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)
    ),
    "line.txt": lambda: b"a" * 20_000_000,
}  # fmt: skip


@pytest.mark.timeout(600)
def test_documents_built_to_hurt_cost_one_step_and_no_worker(stack: Stack) -> None:
    """Each job ends as done, or as failed with a code; the worker is still the same process afterwards."""
    alive = [inspect(container)["State"]["StartedAt"] for container in stack.containers("worker")]
    jobs = {}
    for name, make in HOSTILE.items():
        stack.s3.put_object(Bucket="documents", Key=f"hostile/{name}", Body=make())
        jobs[name] = accepted(stack, documentUrl=f"s3://documents/hostile/{name}", type="report")
    ended = {}
    for name, job_id in jobs.items():
        found = wait_until(stack, job_id, "done", "failed", seconds=400)
        ended[name] = found.get("error", {}).get("code", "done")
    print(f"\nhostile: {ended}")
    for name in ("bomb.docx", "entities.docx", "self.pdf", "array.pdf", "nested.pdf"):
        assert ended[name].startswith("document_"), ended
    assert [inspect(container)["State"]["StartedAt"] for container in stack.containers("worker")] == alive
    assert docker("ps", "--filter", f"id={stack.containers('worker')[0]}", "--quiet")
