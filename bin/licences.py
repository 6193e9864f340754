"""Lists the licences in SBOMs, one line for each component: `licences.py FILE.cdx.json…`"""

import json
import sys
from pathlib import Path
from typing import Any


def licence(component: dict[str, Any]) -> str:
    found = [
        one.get("expression") or one["license"].get("id") or one["license"]["name"]
        for one in component.get("licenses", [])
    ]
    return "; ".join(found)


def main(files: list[str]) -> None:
    where: dict[tuple[str, str, str], set[str]] = {}
    for file in files:
        for component in json.loads(Path(file).read_text()).get("components", []):
            key = (component["name"], component.get("version", ""), licence(component))
            where.setdefault(key, set()).add(Path(file).name.partition(".")[0])
    print(
        "# Licences\n\nWhat each image contains; `-`: the package does not state its licence in a machine-readable form.\n"
    )
    print("| component | version | licence | images |\n|---|---|---|---|")
    for (name, version, said), images in sorted(where.items(), key=lambda item: item[0][0].lower()):
        print(f"| {name} | {version} | {said.replace('|', '/') or '-'} | {', '.join(sorted(images))} |")
    silent = sorted(name for (name, _, said) in where if not said)
    print(
        f"\n{len(where)} components; {len(silent)} without a machine-readable licence: {', '.join(silent) or 'none'}."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
