"""Stages an application: the two build contexts, what the services mount, and its compose file.

    function/task/, function/requirements.lock     context of images/lambda/application.Dockerfile
    worker/app/, worker/requirements.lock          context of images/worker/application.Dockerfile
    gateway/openapi.yaml                           if the application has one
    samples/<bucket>/…                             what S3 puts into its buckets
    compose.yaml                                   added to the stack's own (fragment.py)
    application.json                               for scripts: what the application declares
    images, secrets, built-from                    for bin/: a line for each image, secret, half

Files that have not changed are left alone, and files that are no longer needed are removed.
"""

import hashlib
import json
import os
import py_compile
from dataclasses import asdict
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from . import files, fragment
from .folder import Folder
from .table import Application

#: Where a half's code lies in its build context.
CODE = {"function": "task", "worker": "app"}
LIBRARY = "durable_lambda"


def stage(folder: Folder, library: Path, locks: dict[str, Path], target: Path, place: str) -> None:
    """`place` is what the target is called in the compose file: a path from the repository's root."""
    application = folder.application
    wanted: dict[str, Path | bytes] = {}
    for which, half in application.halves.items():
        root = f"{which}/{CODE[which]}"
        wanted |= {
            f"{root}/{name}": path for name, path in files.of_half(folder.path, which, half.exclude).items()
        }
        if half.uses_library:
            source = library / "src" / LIBRARY
            wanted |= {f"{root}/{LIBRARY}/{path.relative_to(source)}": path for path in files.walk(source)}
        wanted[f"{which}/requirements.lock"] = locks[which]
    if (folder.path / "openapi.yaml").is_file():
        wanted["gateway/openapi.yaml"] = folder.path / "openapi.yaml"
    wanted |= {f"samples/{name}": path for name, path in files.samples(folder.path).items()}
    digests = {part: _digest(wanted, f"{part}/") for part in ("function", "worker", "gateway", "samples")}
    wanted["compose.yaml"] = fragment.compose_file(
        application, place, digests, openapi="gateway/openapi.yaml" in wanted
    ).encode()
    wanted["application.json"] = (json.dumps(declared(application), indent=2) + "\n").encode()
    wanted["images"] = (
        "".join(f"{image}\n" for image in fragment.IMAGES).replace("{slug}", application.slug).encode()
    )
    wanted["secrets"] = "".join(_secret_lines(application)).encode()
    wanted["built-from"] = f"function {digests['function']}\nworker {digests['worker']}\n".encode()
    kept = set()
    for name, content in wanted.items():
        kept.add(target / name)
        changed = _keep(target / name, content.read_bytes() if isinstance(content, Path) else content)
        if name.startswith("worker/app/") and name.endswith(".py"):
            kept.add(_compile(target / name, name.removeprefix("worker"), anew=changed))
    for part in ("function", "worker", "gateway", "samples"):
        _remove_others(target / part, kept)
        _keep_folder(target / part)


def declared(application: Application) -> dict[str, Any]:
    """What application.json says: for the deployment scripts, and for `make submit`."""
    return {
        "name": application.name,
        "project": application.slug,
        "prefix": application.prefix,
        "buckets": application.buckets,
        **{
            which: {
                "environment": half.environment,
                "secrets": {
                    name: {key: value for key, value in asdict(secret).items() if value not in (None, ())}
                    for name, secret in half.secrets.items()
                },
                **({"reads": half.reads} if half.reads else {}),
            }
            for which, half in application.halves.items()
        },
        "submit": application.submit,
    }


def _secret_lines(application: Application) -> list[str]:
    """`half name random|setting|lines PREFIX SETTING…`, with tabs between; `-` where there is none."""
    lines = []
    for which, half in application.halves.items():
        for name, secret in half.secrets.items():
            kind = "lines" if secret.settings else "setting" if secret.random is None else "random"
            said = secret.settings or (secret.setting or "-",)
            lines.append("\t".join([which, name, kind, secret.random or "-", *said]) + "\n")
    return lines


def _digest(wanted: dict[str, Path | bytes], prefix: str) -> str:
    found = hashlib.sha256()
    for name in sorted(name for name in wanted if name.startswith(prefix)):
        source = wanted[name]
        content = source.read_bytes() if isinstance(source, Path) else source
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]


def _compile(source: Path, name: str, *, anew: bool) -> Path:
    """The bytecode of a worker's module, beside it: its container cannot write any, and would compile at every start.

    `name` is where the module lies in the container. Python compares the source's hash, so no date matters. A module that
    cannot be compiled has none: the worker itself says what is wrong with it.
    """
    cached = Path(cache_from_source(str(source)))
    if anew or not cached.is_file():
        cached.unlink(missing_ok=True)
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        if py_compile.compile(str(source), str(cached), dfile=name, quiet=2, invalidation_mode=mode):
            cached.parent.chmod(0o755)
            cached.chmod(0o644)
    return cached


def _keep(path: Path, content: bytes) -> bool:
    """Write the file with this content, readable by the containers' users; do nothing if it is like that already.

    Returns whether it was written.
    """
    if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
        return False
    _keep_folder(path.parent)
    if path.is_dir():
        _remove_others(path, set())
        path.rmdir()
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(0o644)
    new.replace(path)
    return True


def _keep_folder(path: Path) -> None:
    if path.is_dir():
        return
    _keep_folder(path.parent)
    path.unlink(missing_ok=True)
    path.mkdir()
    path.chmod(0o755)


def _remove_others(folder: Path, wanted: set[Path]) -> None:
    if not folder.is_dir():
        return
    for entry in list(os.scandir(folder)):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            _remove_others(path, wanted)
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink()
