"""Writes the software bill of materials of an image: `docker export … | sbom.py IMAGE DIGEST FILE`.

Finds Python distributions by their METADATA, and Debian packages by dpkg's status, with the licences in their
machine-readable copyright files. Binaries that belong to no package (the RIE) are listed in EXTRA.
"""

import re
import sys
import tarfile
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

DPKG = "var/lib/dpkg/status"
COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")
METADATA = re.compile(r".*/[^/]+\.dist-info/METADATA")
#: Files that no package system knows: where they lie, name, the lock and the package they are taken from, licence.
EXTRA = {
    "usr/local/bin/aws-lambda-rie": (
        "aws-lambda-runtime-interface-emulator",
        "images/lambda/runtime/rie/requirements.lock",
        "aws-sam-cli",
        "Apache-2.0",
    ),
}
_make_licence = LicenseFactory().make_from_string


def main(image: str, digest: str, target: str) -> None:
    python: dict[str, Component] = {}
    licences: dict[str, str] = {}
    status = b""
    extra: list[Component] = []
    bom = Bom()
    bom.metadata.component = Component(name=image, version=digest, type=ComponentType.CONTAINER)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tree:
        for member in tree:
            if not member.isfile():
                continue
            content = tree.extractfile(member)
            if content is None:
                continue
            if METADATA.fullmatch(member.name):
                component = distribution(content.read())
                python[str(component.purl)] = component
            elif member.name == DPKG:
                status = content.read()
            elif found := COPYRIGHT.fullmatch(member.name):
                licences[found[1]] = copyright_licences(content.read().decode(errors="replace"))
            elif member.name in EXTRA:
                name, lock, package, licence = EXTRA[member.name]
                pinned = re.search(rf"^{package}==(\S+)", Path(lock).read_text(), re.MULTILINE)
                extra.append(
                    Component(
                        name=name,
                        version=f"{package} {pinned[1] if pinned else '?'}",
                        type=ComponentType.APPLICATION,
                        licenses=[_make_licence(licence)],
                    )
                )
    components = [*python.values(), *debian(status, licences), *extra]
    bom.components.update(components)
    bom.register_dependency(bom.metadata.component, components)
    writer = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    Path(target).write_text(writer.output_as_string(indent=1))
    print(f"    {image}: {len(python)} Python distributions, {len(components) - len(python)} others")


def distribution(metadata: bytes) -> Component:
    said = BytesParser().parsebytes(metadata)
    name, version = str(said["Name"]), str(said["Version"])
    licence = (
        said["License-Expression"] or _classified(said.get_all("Classifier") or []) or said["License"] or ""
    )
    # Some packages put the whole licence text there.
    licence = str(licence).strip().partition("\n")[0][:120]
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", None, re.sub(r"[-_.]+", "-", name).lower(), version),
        licenses=[_make_licence(licence)] if licence else [],
    )


def _classified(classifiers: list[str]) -> str:
    found = [
        line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: OSI Approved :: ")
    ]
    return " AND ".join(found)


def debian(status: bytes, licences: dict[str, str]) -> Iterator[Component]:
    for paragraph in status.decode().split("\n\n"):
        fields = dict(re.findall(r"^(\S+): (.*)$", paragraph, re.MULTILINE))
        if "installed" not in fields.get("Status", ""):
            continue
        name, version = fields["Package"], fields["Version"]
        licence = licences.get(name, "")
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("deb", "debian", name, version, {"arch": fields.get("Architecture", "")}),
            licenses=[_make_licence(licence)] if licence else [],
        )


def copyright_licences(text: str) -> str:
    """The short names in a copyright file (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/)."""
    names = sorted(set(re.findall(r"^License: *(\S[^\n]*)$", text, re.MULTILINE)))
    return " AND ".join(names)


if __name__ == "__main__":
    main(*sys.argv[1:])
