"""`make backup` and `make restore`: the state of a running stack in another clone, where its jobs go on."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.clone import Clone
from harness.documents import job
from harness.fixtures import MakeClone, needs_official_server
from harness.waiting import wait_for
from harness.world import FILES, open_folder


def hold_jobs(clone: Clone, crashes: Path, **settings: str) -> None:
    """Restart the clone's worker, so that it stops at the point that a job's name asks for (harness/world.py)."""
    files = ["compose.yaml", clone.run("bin/application", **settings).stdout.splitlines()[-1], *FILES]
    said = clone.run(
        "docker", "compose", *(part for file in files for part in ("--file", file)), "up", "--detach", "--wait",
        CRASH_FOLDER=str(crashes), **settings,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout


def status(client: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/status/{job_id}").json()
    return found


ON_POSTGRES = {"RESONATE_STORE": "postgres", "RESONATE_SERVER": "official"}


@pytest.mark.parametrize(
    "store",
    [
        pytest.param({}, id="its-own-file"),
        pytest.param(ON_POSTGRES, id="postgres", marks=needs_official_server),
    ],
)
def test_running_jobs_go_on_in_another_clone(
    make_clone: MakeClone, tmp_path: Path, store: dict[str, str]
) -> None:
    # GIVEN a stack with a job that is done, one that waits for a person, and one in the middle of a step
    here, there = make_clone(), make_clone()
    crashes = tmp_path / "crashes"
    crashes.mkdir()
    up = here.make("up", **store)
    assert up.returncode == 0, up.stdout
    hold_jobs(here, open_folder(crashes), **store)
    client = here.api()
    done, waiting = job(), job(requiresApproval=True)
    running = job(jobId="hold-store_results-middle-1")
    for body in (done, waiting, running):
        assert client.post("/process-document", json=body).status_code == 202
    wait_for(lambda: status(client, done["jobId"])["status"] == "done", "the first job to be done")
    wait_for(lambda: status(client, waiting["jobId"])["status"] == "awaiting_approval", "the second to wait")
    wait_for(lambda: (crashes / running["jobId"]).exists(), "the third to be in the middle of its step")
    before = {body["jobId"]: status(client, body["jobId"]) for body in (done, waiting, running)}
    # WHEN it is copied, while it runs
    file = tmp_path / "kept.tar"
    backup = here.make("backup", f"F={file}", **store)
    assert backup.returncode == 0, backup.stdout
    assert "it was paused for" in backup.stdout
    # THEN it continues as if nothing had happened
    (crashes / f"{running['jobId']}.go").touch()
    wait_for(lambda: status(client, running["jobId"])["status"] == "done", "the third job to be done")
    # AND the backup is the only new file, and only its owner can read it
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == []
    assert file.stat().st_mode & 0o077 == 0
    # WHEN the state is put into another clone
    restore = there.make("restore", f"F={file}", **store)
    assert restore.returncode == 0, restore.stdout
    client = there.api()
    # THEN what was done is as it was
    assert status(client, done["jobId"]) == before[done["jobId"]]
    # AND the running job goes on there, and repeats no step
    wait_for(lambda: status(client, running["jobId"])["status"] == "done", "the third job to be done there")
    ended = {step["name"]: step for step in status(client, running["jobId"])["steps"]}
    for step in before[running["jobId"]]["steps"][:3]:
        assert ended[step["name"]] == step
    # AND the waiting job gets its answer there
    verdict = {"approved": True, "approver": "a.person"}
    assert client.post(f"/approve/{waiting['jobId']}", json=verdict).status_code == 200
    wait_for(lambda: status(client, waiting["jobId"])["status"] == "done", "the second job to be done there")
    # AND an approval given there has no effect here
    assert status(here.api(), waiting["jobId"])["status"] == "awaiting_approval"
    # AND make up unpauses what a killed backup leaves paused
    assert here.run("docker", "compose", "pause", **store).returncode == 0
    up = here.make("up", **store)
    assert up.returncode == 0, up.stdout
    assert status(here.api(), done["jobId"]) == before[done["jobId"]]
    # AND neither is overwritten by a second restore
    for place, sentence in ((there, "runs; a backup is restored into an empty one"), (here, "runs;")):
        again = place.make("restore", f"F={file}")
        assert again.returncode != 0
        assert sentence in again.stdout
    assert there.make("down", **store).returncode == 0
    again = there.make("restore", f"F={file}")
    assert again.returncode != 0
    assert "has jobs or documents of its own" in again.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "of the stack {project} does not run; make up starts it"),
        ({"F": "{folder}/there.tar"}, "there.tar is there already; name another file"),
        (
            {"F": "{folder}/no-such-folder/x.tar"},
            "nothing can be written to the folder {folder}/no-such-folder",
        ),
    ],
)
def test_what_stands_in_the_way_of_a_backup(
    make_clone: MakeClone, tmp_path: Path, options: dict[str, str], sentence: str
) -> None:
    clone = make_clone()
    (tmp_path / "there.tar").touch()
    given = [f"{name}={value.format(folder=tmp_path)}" for name, value in options.items()]
    said = clone.make("backup", *given)
    assert said.returncode != 0
    assert sentence.format(project=clone.project, folder=tmp_path) in said.stdout
    assert clone.leftovers() == ""


def backup_file(path: Path, **changed: str) -> Path:
    """An empty backup, as make backup writes it; `changed` are replaced lines of its manifest."""
    lines = {"format": "1", "server": "embedded", "project": "p", "made": "now", "version": "abc"} | changed
    parts = {"manifest": "".join(f"{k}={v}\n" for k, v in lines.items()).encode()}
    parts |= {f"{service}.tar": b"" for service in ("server", "localstack", "gateway")}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in parts.items())
    with tarfile.open(path, "w") as archive:
        for name, data in (parts | {"sums": sums.encode()}).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def of_the_official_server(path: Path) -> None:
    backup_file(path, server="official")


def of_another_format(path: Path) -> None:
    backup_file(path, format="7", version="v9.9")


def damaged(path: Path) -> None:
    """Changes one byte of the manifest."""
    data = bytearray(backup_file(path).read_bytes())
    data[data.index(b"made=now") + 5] ^= 1
    path.write_bytes(data)


def no_backup(path: Path) -> None:
    path.write_text("hello\n")


@pytest.mark.parametrize(
    ("make", "settings", "sentence"),
    [
        (lambda path: None, {}, "is not there or cannot be read"),
        (no_backup, {}, "is no backup of a stack"),
        (of_another_format, {}, "has format '7', and this version reads formats 1 and 2; restore it with the version "
         "that made it: v9.9"),
        (of_the_official_server, {"RESONATE_SERVER": "embedded"}, "holds the jobs of the official server, and "
         "RESONATE_SERVER=embedded"),
        (damaged, {}, "is damaged"),
    ],
    ids=["missing", "no-backup", "other-format", "other-server", "damaged"],
)  # fmt: skip
def test_what_stands_in_the_way_of_a_restore(
    make_clone: MakeClone,
    tmp_path: Path,
    make: Callable[[Path], None],
    settings: dict[str, str],
    sentence: str,
) -> None:
    clone = make_clone()
    file = tmp_path / "some.tar"
    make(file)
    said = clone.make("restore", f"F={file}", **settings)
    assert said.returncode != 0
    assert sentence in said.stdout, said.stdout
    assert clone.leftovers() == ""
