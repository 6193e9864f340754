"""Runs the measures and prints their tables; writes bench/results/*.json, the pictures and the tables of docs/speed.md."""

import argparse
import importlib
import json
import sys
import traceback

from bench.core.page import PAGE, draw_all, write_page
from bench.core.result import RESULTS, Result

#: In the order in which they run: those that need a quiet machine come first.
MEASURES = (
    "submit",
    "jobs",
    "step",
    "profile",
    "recovery",
    "memory",
    "growth",
    "scaling",
    "backlog",
    "up",
    "gateway",
    "s3",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="the measures to run (default: all)")
    parser.add_argument(
        "--page",
        action="store_true",
        help=f"measure nothing; write {PAGE.name} and the pictures again from bench/results",
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(MEASURES)):
        parser.error(f"there is no measure {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    failed = []
    for name in [] if options.page else options.names or MEASURES:
        say(f"\n==> {name}")
        try:
            result: Result = importlib.import_module(f"bench.measures.{name}").measure()
        except Exception:  # The other measures still run.
            failed.append(name)
            traceback.print_exc()
            continue
        result.save()
        say(result.text())
    kept = {}
    for name in MEASURES:
        if (file := RESULTS / f"{name}.json").exists():
            kept[name] = Result.load(name, json.loads(file.read_text(encoding="utf-8")))
            draw_all(kept[name], importlib.import_module(f"bench.measures.{name}").PICTURES)
    write_page(list(kept.values()))
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
