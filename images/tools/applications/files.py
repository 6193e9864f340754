"""Which files of an application's folder go into which half."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

#: Left out of both halves, at the top of the folder.
_TOP = ("tests", "docs", "samples", "openapi.yaml", "*.lock", "README*")
#: Left out of both halves, in every folder.
_ANYWHERE = (".*", "__pycache__", "*.pyc", "*.egg-info")
#: Each half leaves the other's entry file out.
ENTRY = {"function": "lambda_function.py", "worker": "worker.py"}


def walk(folder: Path) -> Iterator[Path]:
    """Every file and link below a folder, in order; hidden ones, bytecode and virtual environments left out."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if any(fnmatchcase(entry.name, pattern) for pattern in _ANYWHERE):
            continue
        if entry.is_dir(follow_symlinks=False):
            if not (path / "pyvenv.cfg").exists():
                yield from walk(path)
        elif entry.is_symlink() or entry.is_file():
            yield path


def links_out(folder: Path) -> Iterator[tuple[Path, str]]:
    """Links that cannot be followed inside the folder, and where they lead."""
    for path in walk(folder):
        if path.is_symlink():
            target = str(path.readlink())
            real = path.resolve()
            if Path(target).is_absolute() or not real.is_relative_to(folder.resolve()) or not real.exists():
                yield path, target


def of_half(folder: Path, half: str, exclude: list[str]) -> dict[str, Path]:
    """The files of one half by their path in it. Links are followed: what they lead to is copied."""
    other = next(name for which, name in ENTRY.items() if which != half)
    left_out = [*_TOP, other, *exclude]
    return {
        name: path
        for name, path in _named(folder)
        if path.is_file() and not any(_is_within(name, pattern) for pattern in left_out)
    }


def unmatched(folder: Path, exclude: list[str]) -> list[str]:
    """Entries of `exclude` that leave nothing out."""
    names = [name for name, _ in _named(folder)]
    return [entry for entry in exclude if not any(_is_within(name, entry) for name in names)]


def samples(folder: Path) -> dict[str, Path]:
    """The files in samples/<bucket>/, by their paths below samples/. Files directly in samples/ are not samples."""
    root = folder / "samples"
    if not root.is_dir():
        return {}
    found = {path.relative_to(root).as_posix(): path for path in walk(root) if path.is_file()}
    return {name: path for name, path in found.items() if "/" in name}


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in walk(folder):
        if path.is_dir():  # a link to a folder
            for inner in walk(path):
                yield inner.relative_to(folder).as_posix(), inner
        else:
            yield path.relative_to(folder).as_posix(), path


def _is_within(name: str, pattern: str) -> bool:
    """Whether a file is what the pattern names, or lies in a folder that it names."""
    path = PurePosixPath(name)
    return any(fnmatchcase(part.as_posix(), pattern.rstrip("/")) for part in (path, *path.parents))
