"""The function's deployment packages: made the same way every time, and unpacked as Lambda does.

Usage: packages.py trim FOLDER
       packages.py make FUNCTION DEPENDENCIES OUT [-arm64]
       packages.py unpack ZIP FOLDER

Called inside image builds (images/lambda/application.Dockerfile), with the standard library alone. A package depends on its
content alone: entries sorted, one date, one mode, no bytecode. So the same content has the same hash, whenever and
wherever it is packed, and a deployment without changes is recognized as such. SOURCE_DATE_EPOCH
(seconds, https://reproducible-builds.org/specs/source-date-epoch/) gives another date than 1980-01-01.
"""

import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

#: Bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#function-configuration-deployment-and-execution
ZIPPED_LIMIT = 50 * 2**20
UNZIPPED_LIMIT = 250 * 2**20

#: The earliest date a zip can hold.
_EPOCH_1980 = 315_532_800
#: Files that only pip and uv read.
_INSTALLER_FILES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock"}
#: For compilers and type checkers. py.typed stays: it is empty.
_SOURCES = {".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".cpp", ".hpp"}
_FOLDERS = {"__pycache__", "tests", "test", "bin"}
#: What the managed runtime brings: in a package it would be 20 MB more to load.
#: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-dependencies
RUNTIME_HAS = ("boto3", "botocore", "s3transfer", "awslambdaric", "urllib3", "dateutil", "six")


class PackageError(Exception):
    """A package that Lambda would refuse, or with content that it must not have; the message says which and why."""


def trim(folder: Path) -> None:
    """Remove from installed dependencies what the function does not need. Metadata (versions, entry points) and
    licences stay."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and (
            path.name == "__pycache__" or (path.name in _FOLDERS and _is_spare(path, folder))
        ):
            shutil.rmtree(path)
    for path in sorted(folder.rglob("*")):
        in_metadata = path.parent.name.endswith(".dist-info") and path.name in _INSTALLER_FILES
        if path.is_file() and (in_metadata or path.name in {".lock"} or path.suffix in _SOURCES | {".pyc"}):
            path.unlink()


def _is_spare(path: Path, root: Path) -> bool:
    """Tests inside a distribution, and the scripts folder at the top; `bin` deeper down may be code."""
    return path.parent == root if path.name == "bin" else path.parent != root


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_symlink():
            raise PackageError(f"{path} is a link; a package holds files only.")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path.relative_to(folder).as_posix(), path


def pack(target: Path, *parts: tuple[str, Path]) -> int:
    """Write a zip of folders, each under its prefix. Returns the bytes unzipped."""
    date = time.gmtime(max(_EPOCH_1980, int(os.environ.get("SOURCE_DATE_EPOCH") or _EPOCH_1980)))[:6]
    entries = sorted((prefix + name, path) for prefix, folder in parts for name, path in files(folder))
    names = [name for name, _ in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PackageError(f"{target.name}: function and dependencies both have {', '.join(sorted(twice))}.")
    size = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in entries:
            entry = zipfile.ZipInfo(name, date)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the mode is read
            # Lambda's user is another one than the files' owner: everybody may read.
            # https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html#troubleshooting-deployment-denied
            entry.external_attr = 0o100644 << 16
            content = path.read_bytes()
            archive.writestr(entry, content)
            size += len(content)
    return size


def check(target: Path, unzipped: int) -> None:
    """Raises PackageError if the package exceeds a limit of Lambda's."""
    zipped = target.stat().st_size
    if zipped > ZIPPED_LIMIT:
        raise PackageError(
            f"{target.name} is {zipped / 2**20:.1f} MB; Lambda takes {ZIPPED_LIMIT >> 20} MB in a direct upload. "
            "Upload it through S3, drop a dependency, or deploy the image."
        )
    if unzipped > UNZIPPED_LIMIT:
        raise PackageError(
            f"{target.name} is {unzipped / 2**20:.1f} MB unzipped (layers included); Lambda's limit is "
            f"{UNZIPPED_LIMIT >> 20} MB. Drop a dependency, or deploy the image."
        )


def make(function: Path, dependencies: Path, out: Path, suffix: str = "") -> None:
    """Both kinds of packages for one processor: everything in one zip, and function and layer separately."""
    brought = sorted(name for name in RUNTIME_HAS if (dependencies / name).exists())
    if brought:
        raise PackageError(
            f"the function's dependencies bring {', '.join(brought)}, which the runtime has; take it out of "
            "the group `function` in pyproject.toml (boto3 among the dependencies of a function is the usual reason)."
        )
    out.mkdir(parents=True, exist_ok=True)
    package, layer, code = (
        out / f"lambda-package{suffix}.zip",
        out / f"layer{suffix}.zip",
        out / "lambda-function.zip",
    )
    check(package, pack(package, ("", function), ("", dependencies)))
    # Lambda puts a layer's python/ on the path: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
    in_layer = pack(layer, ("python/", dependencies))
    # The function is Python alone: one package for every processor.
    in_function = pack(code, ("", function))
    check(layer, in_layer + in_function)
    check(code, in_function)


def unpack(source: Path, target: Path) -> None:
    """Unpack a zip as Lambda does: the archive's files with the archive's modes."""
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            path = Path(archive.extract(entry, target))
            path.chmod(entry.external_attr >> 16 & 0o777)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["trim", folder]:
            trim(Path(folder))
        case ["make", function, dependencies, out, *suffix]:
            make(Path(function), Path(dependencies), Path(out), *suffix)
        case ["unpack", source, target]:
            unpack(Path(source), Path(target))
        case _:
            sys.exit(__doc__)
