"""Called in the image `tools` by bin/application and bin/lock.

Usage: python -m applications stage SHOWN PLACE     exit status 3: a lock must be resolved first; says which
       python -m applications lock SHOWN [--upgrade]

SHOWN is what the user calls the application's folder; PLACE the staged folder, from the repository's root. Mounted are
the application's folder at /application, the library's at /library, and the staged folder at /staged.
"""

import sys
from pathlib import Path

from . import folder, locks, staging

APPLICATION, LIBRARY, STAGED = Path("/application"), Path("/library"), Path("/staged")
#: Where new locks are made, and where they stay if the application's folder cannot be written to.
LOCKS = STAGED / "locks"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["stage", shown, place]:
            return stage(shown, place)
        case ["lock", shown, *flags]:
            return lock(shown, upgrade="--upgrade" in flags)
    sys.stderr.write(__doc__ or "")
    return 2


def stage(shown: str, place: str) -> int:
    try:
        read = folder.read(APPLICATION, shown)
    except folder.UnusableError as error:
        return _fail(error.problems)
    found: dict[str, Path] = {}
    lacking = []
    for half in read.application.halves:
        wanted = locks.digest(read.document, half, LIBRARY)
        states = {root: locks.state(root / locks.name(half), wanted) for root in (APPLICATION, LOCKS)}
        fresh = next((root for root, state in states.items() if state == "fresh"), None)
        if fresh:
            found[half] = fresh / locks.name(half)
        else:
            lacking.append(f"{half} {states[APPLICATION]}")
    if lacking:
        sys.stdout.write("".join(f"{line}\n" for line in lacking))
        return 3
    staging.stage(read, LIBRARY, found, STAGED, place)
    return 0


def lock(shown: str, *, upgrade: bool) -> int:
    try:
        read = folder.read(APPLICATION, shown)
    except folder.UnusableError as error:
        return _fail(error.problems)
    LOCKS.mkdir(exist_ok=True)
    for half in read.application.halves:
        own = APPLICATION / locks.name(half)
        if own.is_file():
            (LOCKS / locks.name(half)).write_bytes(own.read_bytes())
    return _fail(locks.resolve(APPLICATION, read.document, LIBRARY, LOCKS, upgrade=upgrade))


def _fail(problems: list[str]) -> int:
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


sys.exit(main(sys.argv[1:]))
