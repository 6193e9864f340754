"""The application that a copy of the stack runs: any folder with a `lambda_function.py` and a `worker.py`.

The stack's own compose.yaml contains no application. `bin/application FOLDER` builds the application's images if
something in them has changed, and prints the compose file that adds them to the stack.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

from harness.machine import ROOT, found_on_this_machine, image_prefix, project_prefix

#: The application that runs if a test does not choose one: the stack's own tests use its routes and buckets.
DEFAULT = "apps/documents"
#: The artefact from which the functions of a whole run are started (LAMBDA_FROM=zip make itest). It is removed from the
#: environment, because it would override what a test chooses for one copy.
LAMBDA_FROM = os.environ.pop("LAMBDA_FROM", "image")


class ApplicationError(RuntimeError):
    """An application could not be prepared; the message is what `bin/application` said."""


@cache
def compose_file(folder: str, lambda_from: str) -> str:
    """Build the images of the application in `folder` (relative to the repository's root, or absolute); returns its
    compose file.

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
    """Build the application in `folder`; returns the image of a service, `lambda` or `worker`."""
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
    """This clone's settings that name images, for a program that is started."""
    own = {
        "COMPOSE_PROJECT_NAME": project_prefix(),
        "STACK_IMAGES": image_prefix(),
        "LAMBDA_FROM": lambda_from,
    }
    return os.environ | own


def application_of(file: Path) -> str:
    """The application whose tests a file belongs to: the nearest folder above it that holds a `lambda_function.py`.

    For tests outside any application, such as the stack's own, it is `DEFAULT`.
    """
    for folder in file.resolve().parents:
        if (folder / "lambda_function.py").is_file():
            return str(folder)
    return DEFAULT
