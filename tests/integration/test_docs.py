"""Tests that pages name exist."""

import re
from collections.abc import Iterator

import pytest

from harness.machine import ROOT

PAGES = ("docs/attacks.md", "SECURITY.md")
#: A test or a folder of tests, by its path from the repository's root: `tests/…`, `apps/<name>/tests/…`.
_TEST = re.compile(r"`((?:tests|apps|durable_lambda)/[\w/]*(?:\.py)?(?:::\w+)?)`")


def named() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
            if line.startswith("|"):
                yield from ((page, name) for name in _TEST.findall(line))


@pytest.mark.parametrize(("page", "name"), sorted(set(named())))
def test_a_test_that_is_named_is_there(page: str, name: str) -> None:
    path, _, function = name.partition("::")
    assert (ROOT / path).exists(), f"{page} names {path}, which is not there"
    assert not function or f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), (
        f"{page} names {name}"
    )


def test_every_attack_has_a_test() -> None:
    rows = [
        line
        for line in (ROOT / "docs/attacks.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| attack", "| accident"))
    ]
    assert len(rows) >= 45
    assert [row for row in rows if not _TEST.search(row.rpartition("| ")[2])] == []
