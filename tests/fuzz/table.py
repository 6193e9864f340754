"""Writes the figures of `make fuzz` to docs/chaos.md: one row per door."""

from collections.abc import Mapping

from harness.report import SHORT, circumstances, keep, write


def record(door: str, outcomes: Mapping[str, int], crashes: int, hangs: int, seed: int) -> None:
    """Save this door's row, and write the table of all saved rows. Does nothing in the short form.

    `outcomes`: how often each answer was given. `crashes`: how many inputs got a server error or an answer that is not
    HTTP, ended without a documented code, or killed a service.
    """
    if SHORT:
        return
    said = ", ".join(
        f"{count:,} x {word}" for word, count in sorted(outcomes.items(), key=lambda item: -item[1])
    )
    inputs = sum(outcomes.values())
    row = {
        "line": f"| {door} | {inputs:,} | {crashes} | {hangs} | {said} |",
        "when": circumstances("make fuzz", seed),
    }
    rows = keep("fuzz", door, row)
    lines = ["| door | inputs | crashes | hangs | what they ended in |", "|---|---:|---:|---:|---|"]
    lines += [row["line"] for row in rows.values()]
    write("fuzz", "\n".join([*lines, "", f"Last: {max(row['when'] for row in rows.values())}"]))
