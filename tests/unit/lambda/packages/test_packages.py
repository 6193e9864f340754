"""A package's hash depends only on its content; a package over a limit is named in the error."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, "/images/lambda/packaging")
import packages


def tree(root: Path, files: dict[str, str], *, mode: int = 0o644, date: int = 1_700_000_000) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        os.utime(path, (date, date))
    return root


FUNCTION = {"lambda_function.py": "def lambda_handler(): ...", "contract/__init__.py": ""}
LIBRARY = {"lib/__init__.py": "x = 1", "lib-1.0.dist-info/METADATA": "Name: lib", "lib/py.typed": ""}


def test_same_content_has_the_same_hash_whoever_made_the_files_and_when(tmp_path: Path) -> None:
    one = tree(tmp_path / "a", FUNCTION, mode=0o600, date=1_600_000_000)
    other = tree(tmp_path / "b", dict(reversed(FUNCTION.items())), mode=0o755)
    tree(other, {"__pycache__/lambda_function.cpython-313.pyc": "bytecode", "old.pyc": "bytecode"})
    packages.pack(tmp_path / "one.zip", ("", one))
    packages.pack(tmp_path / "other.zip", ("", other))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_other_content_has_another_hash(tmp_path: Path) -> None:
    packages.pack(tmp_path / "one.zip", ("", tree(tmp_path / "a", FUNCTION)))
    packages.pack(tmp_path / "two.zip", ("", tree(tmp_path / "b", FUNCTION | {"jobs.py": ""})))
    assert (tmp_path / "one.zip").read_bytes() != (tmp_path / "two.zip").read_bytes()


def test_date_is_source_date_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    packages.pack(tmp_path / "x.zip", ("", tree(tmp_path / "a", FUNCTION)))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}


def test_both_shapes_hold_the_same_files(tmp_path: Path) -> None:
    function, dependencies = tree(tmp_path / "f", FUNCTION), tree(tmp_path / "d", LIBRARY)
    packages.make(function, dependencies, tmp_path / "out")

    def names(name: str) -> set[str]:
        return set(zipfile.ZipFile(tmp_path / "out" / name).namelist())

    assert names("lambda-package.zip") == set(FUNCTION) | set(LIBRARY)
    assert names("lambda-function.zip") == set(FUNCTION)
    assert names("layer.zip") == {f"python/{name}" for name in LIBRARY}


def test_trimming_leaves_what_runs_and_its_licence(tmp_path: Path) -> None:
    kept = LIBRARY | {
        "lib-1.0.dist-info/licenses/LICENSE": "",
        "lib-1.0.dist-info/entry_points.txt": "",
        "lib/fast.so": "",
        "lib/bin/tool.py": "",
    }
    spare = {
        "lib-1.0.dist-info/RECORD": "",
        "lib-1.0.dist-info/INSTALLER": "",
        "lib/__pycache__/__init__.pyc": "",
        "lib/fast.pyx": "",
        "lib/stubs.pyi": "",
        "lib/tests/test_it.py": "",
        "bin/script": "",
    }
    folder = tree(tmp_path / "d", kept | spare)
    packages.trim(folder)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(kept)


def test_unpacked_as_lambda_unpacks_everybody_may_read(tmp_path: Path) -> None:
    packages.pack(tmp_path / "x.zip", ("", tree(tmp_path / "a", FUNCTION, mode=0o600)))
    packages.unpack(tmp_path / "x.zip", tmp_path / "task")
    assert (tmp_path / "task/lambda_function.py").stat().st_mode & 0o777 == 0o644


def test_what_the_runtime_has_is_refused(tmp_path: Path) -> None:
    dependencies = tree(tmp_path / "d", {"boto3/__init__.py": ""})
    with pytest.raises(packages.PackageError, match="bring boto3, which the runtime has"):
        packages.make(tree(tmp_path / "f", FUNCTION), dependencies, tmp_path / "out")


def test_a_file_that_both_sides_have_is_named(tmp_path: Path) -> None:
    dependencies = tree(tmp_path / "d", {"contract/__init__.py": ""})
    with pytest.raises(packages.PackageError, match=r"both have contract/__init__\.py"):
        packages.make(tree(tmp_path / "f", FUNCTION), dependencies, tmp_path / "out")


@pytest.mark.parametrize(
    ("limit", "said"),
    [("ZIPPED_LIMIT", "in a direct upload"), ("UNZIPPED_LIMIT", "MB unzipped")],
)
def test_over_a_limit_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, said: str
) -> None:
    monkeypatch.setattr(packages, limit, 100)
    with pytest.raises(packages.PackageError, match=rf"lambda-package\.zip is .* MB.*{said}|{said}"):
        packages.make(
            tree(tmp_path / "f", FUNCTION), tree(tmp_path / "d", {"big.txt": "x" * 2**20}), tmp_path / "out"
        )
