"""docs/chaos.md: each test that runs in full writes its section, with the command that runs it again."""

import json
import os
import platform
import re
import subprocess
import time
from typing import Any

from harness.machine import ROOT

PAGE = ROOT / "docs" / "chaos.md"
#: Results that are kept between full runs, because a matrix may be run in parts.
STATE = ROOT / ".state" / "chaos"
#: make itest runs a sample. make chaos, make soak and make fuzz run everything and write the results down.
SHORT = os.environ.get("CHAOS", "short") != "whole"


def circumstances(command: str, seed: int) -> str:
    """One line: when, which version, on what machine, by which command."""
    version = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"{when}, version `{version}`, {machine}; `{command}`, seed {seed}."


def write(section: str, text: str) -> None:
    """Replace the section of the page between its marks."""
    begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise LookupError(f"{PAGE} has no section {begin} … {end}")
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n{text.rstrip()}\n{end}", page), encoding="utf-8")


def keep(table: str, name: str, row: Any) -> dict[str, Any]:
    """Add a row to those of earlier runs, or replace the row of that name; returns all rows."""
    STATE.mkdir(parents=True, exist_ok=True)
    file = STATE / f"{table}.json"
    rows: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    rows[name] = row
    file.write_text(json.dumps(rows, indent=1))
    return rows
