"""kill -9 at random moments: every acknowledged write is there, and nothing else.

S3_KILLS=100 S3_SEED=7 make itest T=tests/integration/s3/test_kill.py
"""

import os
import random
import threading
import time
from typing import Any

import pytest

from .conftest import S3
from .reading import pages
from .there import found, same
from .writer import Writer

KILLS = int(os.environ.get("S3_KILLS", "100"))
SEED = int(os.environ.get("S3_SEED", "1"))
WRITERS = 3


@pytest.mark.timeout(3600)
def test_acknowledged_writes_are_there_after_each_kill(s3: S3, record_property: Any) -> None:
    for bucket in ("plain", "versions"):
        s3.client.create_bucket(Bucket=bucket)
    s3.client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    s3.client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    chance = random.Random(SEED)
    writers = [Writer(f"w{n}", None, random.Random(SEED * 1000 + n)) for n in range(WRITERS)]
    doubts = applied = 0
    slowest = 0.0
    for kill in range(1, KILLS + 1):
        moment = chance.uniform(0.02, 1.2)
        write_until_killed(s3, writers, moment)
        slowest = max(slowest, s3.start())
        client = s3.new_client()
        for writer in writers:
            doubts += writer.doubt is not None
            applied += settle(client, writer, f"kill {kill}, {moment:.3f} s in, seed {SEED}")
        if kill % 10 == 0 or kill == KILLS:
            compare_all(client, writers, f"kill {kill}, seed {SEED}")
    acknowledged = sum(writer.acknowledged for writer in writers)
    said = (
        f"{KILLS} kills, {acknowledged} acknowledged writes, 0 differences; {doubts} writes were under way, "
        f"{applied} of them had happened; slowest start {slowest:.1f} s"
    )
    record_property("result", said)
    print(said)  # noqa: T201 - with -s
    assert acknowledged > KILLS


def write_until_killed(s3: S3, writers: list[Writer], seconds: float) -> None:
    """All writers at once, until the process is killed."""
    over = threading.Event()
    failures: list[BaseException] = []

    def work(writer: Writer) -> None:
        try:
            writer.run(over.is_set)
        except BaseException as error:
            failures.append(error)

    for writer in writers:
        writer.client, writer.doubt = s3.new_client(), None
        writer.touched = set()
    threads = [threading.Thread(target=work, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    s3.kill()
    over.set()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


def settle(client: Any, writer: Writer, when: str) -> bool:
    """Compare what the writer touched since the last kill. Returns whether its last call, never answered, happened."""
    doubt = writer.doubt
    in_doubt = doubt.items if doubt else {}
    for item in writer.touched - in_doubt.keys():
        there, known = found(client, item), writer.known.get(item, [] if item[0] == "object" else {})
        assert same(known, there), f"{when}: {item} was acknowledged as {known} and is {there}"
    if not in_doubt:
        return False
    there = {item: found(client, item) for item in in_doubt}
    before = {item: writer.known.get(item, [] if item[0] == "object" else {}) for item in in_doubt}
    as_before = all(same(before[item], there[item]) for item in in_doubt)
    as_after = all(same(in_doubt[item], there[item]) for item in in_doubt)
    assert as_before or as_after, (
        f"{when}: {doubt.operation} was not answered and is half there: before {before}, "  # type: ignore[union-attr]
        f"after {in_doubt}, found {there}"
    )
    writer.known |= there
    return as_after and not as_before


def compare_all(client: Any, writers: list[Writer], when: str) -> None:
    """Everything that is known against everything that is there, listings included."""
    for writer in writers:
        for item, known in writer.known.items():
            there = found(client, item)
            assert same(known, there), f"{when}: {item} was acknowledged as {known} and is {there}"
    objects = {
        item: known for writer in writers for item, known in writer.known.items() if item[0] == "object"
    }
    for bucket in ("plain", "versions"):
        listed = [entry["Key"] for _, entry in pages(client, "list_objects_v2", ("Contents",), Bucket=bucket)]
        expected = sorted(
            item[2]
            for item, known in objects.items()
            if item[1] == bucket and known and "marker" not in known[-1]
        )
        assert listed == expected, f"{when}: the listing of {bucket}"
        known = {
            (item[2], version["id"])
            for item, versions in objects.items()
            if item[1] == bucket
            for version in versions
        }
        for size in (1000, 10):
            there = {
                (entry["Key"], entry["VersionId"])
                for _, entry in pages(
                    client,
                    "list_object_versions",
                    ("Versions", "DeleteMarkers"),
                    Bucket=bucket,
                    PaginationConfig={"PageSize": size},
                )
            }
            assert there == known, (
                f"{when}: versions of {bucket}, in pages of {size}: not listed {sorted(known - there)}, "
                f"listed and not known {sorted(there - known)}"
            )
