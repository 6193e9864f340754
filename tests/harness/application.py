"""The application that a copy of the stack runs: any folder with a `lambda_function.py` and a `worker.py`.

The stack's own compose.yaml has none. `bin/application FOLDER` builds the application's images where something of theirs
has changed, and prints the compose file that puts them into the stack.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

from harness.machine import ROOT, found_on_this_machine, image_prefix, project_prefix

#: What runs where a test does not choose: the stack's own tests go through this application's doors.
DEFAULT = "apps/documents"
#: The artefact that the functions of a whole run are started from (LAMBDA_FROM=zip make itest). It leaves the environment,
#: where it would override what a test chooses for one copy.
LAMBDA_FROM = os.environ.pop("LAMBDA_FROM", "image")


class ApplicationError(RuntimeError):
    """An application could not be prepared; the message is what `bin/application` said."""


@cache
def compose_file(folder: str, lambda_from: str) -> str:
    """The compose file of the application in `folder` (from the repository's root, or absolute), its images built.

    `lambda_from`: which artefact the function runs from (LAMBDA_FROM).
    """
    done = subprocess.run(
        [ROOT / "bin/application", folder],
        cwd=ROOT,
        env=_environment(lambda_from),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not done.stdout.strip():
        raise ApplicationError(f"bin/application {folder}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout.splitlines()[-1].strip()


@cache
def image_of(service: str, folder: str = DEFAULT) -> str:
    """The image of the application in `folder` for a service, `lambda` or `worker`; it is built."""
    done = subprocess.run(
        [
            "docker",
            "compose",
            "-f",
            "compose.yaml",
            "-f",
            compose_file(folder, LAMBDA_FROM),
            "config",
            "--format",
            "json",
        ],
        cwd=ROOT,
        env=_environment(LAMBDA_FROM) | found_on_this_machine(),
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout)["services"][service]["image"])


def _environment(lambda_from: str) -> dict[str, str]:
    """The settings that name images, as this clone's own; for a program that is started."""
    own = {
        "COMPOSE_PROJECT_NAME": project_prefix(),
        "STACK_IMAGES": image_prefix(),
        "LAMBDA_FROM": lambda_from,
    }
    return os.environ | own


def application_of(file: Path) -> str:
    """The application whose tests a file belongs to: the nearest folder above it that holds a `lambda_function.py`.

    For tests that lie in no application, such as the stack's own, it is `DEFAULT`.
    """
    for folder in file.resolve().parents:
        if (folder / "lambda_function.py").is_file():
            return str(folder)
    return DEFAULT
