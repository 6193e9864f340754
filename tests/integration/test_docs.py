"""Pages that promise a test name one that is there."""

import re
from collections.abc import Iterator

import pytest

from harness.machine import ROOT

PAGES = ("docs/attacks.md", "SECURITY.md")
_TEST = re.compile(
    r"`((?:unit|integration|chaos|fuzz|conformance|doors|workflow|gateway|deploy)/[\w/]*(?:\.py)?(?:::\w+)?)`"
)


def named() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
            if line.startswith("|"):
                yield from ((page, name) for name in _TEST.findall(line))


@pytest.mark.parametrize(("page", "name"), sorted(set(named())))
def test_a_test_that_is_named_is_there(page: str, name: str) -> None:
    path, _, function = name.partition("::")
    found = [
        folder / path for folder in (ROOT / "tests", ROOT / "tests/integration") if (folder / path).exists()
    ]
    assert found, f"{page} names {path}, which is not below tests/"
    assert not function or f"def {function}(" in found[0].read_text(encoding="utf-8"), f"{page} names {name}"


def test_every_row_of_the_attacks_names_a_test() -> None:
    rows = [
        line
        for line in (ROOT / "docs/attacks.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| attack", "| accident"))
    ]
    assert len(rows) >= 45
    assert [row for row in rows if not _TEST.search(row.rpartition("| ")[2])] == []
