"""Bytes of objects and parts, one file each, written once and never changed.

A file counts only while the ledger names it. So nothing here needs to be undone after a crash: a file nobody
names is swept at the next start.

A large blob is in its file, and on the disk, before the answer. A small one is by then in memory and in the ledger
(see `Ledger.apply`), whose one sync serves both its bytes and its row; the helper writes the files, many at a time.
"""

import contextlib
import ctypes
import logging
import os
import secrets
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Protocol

from .errors import Damaged

LOG = logging.getLogger(__name__)
#: After so many bytes the kernel is asked to start writing them to the disk, so that the last sync has little left to do.
FLUSH_EVERY = 2 * 1024 * 1024
#: Up to this many bytes a blob is small.
SMALL = 32 * 1024
#: Files of small blobs are written when there are this many, or the first has waited this many seconds.
SETTLE_COUNT = 512
SETTLE_SECONDS = 1.0
#: Seconds after which a failed write is tried again.
RETRY_SECONDS = 5.0
#: Bytes that the files of small blobs leave to the ledger, and what a file takes beside its bytes.
KEEP_FREE = 4 * 1024 * 1024
BLOCK = 4096
#: Files written and then synced together, all open meanwhile.
OPEN_AT_ONCE = 128
SHARDS = [f"{n:02x}" for n in range(256)]


class Source(Protocol):
    """The bytes of a blob, for one reader, who closes it."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    def read(self, size: int, position: int) -> bytes:
        """At most `size` bytes from the position on."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class File:
    """A blob in its file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return os.fstat(self._descriptor).st_size

    def read(self, size: int, position: int) -> bytes:
        """At most `size` bytes from the position on."""
        return os.pread(self._descriptor, size, position)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Held:
    """A small blob that has no file yet."""

    data: bytes

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.data)

    def read(self, size: int, position: int) -> bytes:
        """At most `size` bytes from the position on."""
        return self.data[position : position + size]

    def close(self) -> None:
        """Nothing is open."""


class Blobs:
    """The directory of blobs: `<root>/<first two digits of the id>/<id>`."""

    def __init__(self, root: Path, sync: bool = True) -> None:
        self._root = root
        self.sync = sync
        #: Small blobs whose files are still to be written.
        self.young: dict[str, bytes] = {}
        for shard in SHARDS:
            (root / shard).mkdir(parents=True, exist_ok=True)
        sync_directory(root)
        sync_directory(root.parent)
        self._made = 0
        self._shard = secrets.choice(SHARDS)

    def path(self, blob: str) -> Path:
        """Where the blob's bytes are."""
        return self._root / blob[:2] / blob

    def open(self, blob: str) -> Source:
        """The blob to read. Raises FileNotFoundError."""
        if (data := self.young.get(blob)) is not None:
            return Held(data)
        return File(os.open(self._name(blob), os.O_RDONLY | os.O_CLOEXEC))

    def create(self) -> "Draft":
        """A new blob to write to."""
        # Blobs made one after the other share a directory: fewer directories to sync.
        self._made += 1
        if self._made % SETTLE_COUNT == 0:
            self._shard = secrets.choice(SHARDS)
        return Draft(self._shard + secrets.token_hex(15), self)

    def make(self, blob: str) -> int:
        """A descriptor to write the new blob's file with, and to read it. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(self._name(blob), flags, 0o600)

    def write(self, blobs: Mapping[str, bytes]) -> None:
        """Write a file for each of these, over an existing one; return once all are on the disk. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        for many in batched(blobs.items(), OPEN_AT_ONCE, strict=False):
            with ExitStack() as stack:
                descriptors = []
                for blob, data in many:
                    descriptor = os.open(self._name(blob), flags, 0o600)
                    stack.callback(os.close, descriptor)
                    write_all(descriptor, data)
                    # So that the kernel is writing all of them at the first sync: one commit of the file system.
                    begin_writeback(descriptor, 0, len(data))
                    descriptors.append(descriptor)
                for descriptor in descriptors:
                    os.fdatasync(descriptor)
        for shard in {blob[:2] for blob in blobs}:
            sync_directory(self._root / shard)

    def settle(self, blobs: Iterable[str]) -> None:
        """Write files for those of these small blobs that still exist; return once they are on the disk. Raises OSError."""
        self.write({blob: data for blob in blobs if (data := self.young.get(blob)) is not None})

    def remove(self, blobs: Iterable[str]) -> None:
        """Remove these blobs. A reader that has one open can still read it to its end."""
        self.unlink([blob for blob in blobs if self.young.pop(blob, None) is None])

    def unlink(self, blobs: Iterable[str]) -> None:
        """Remove the files of these blobs, those that have one. Raises OSError."""
        for blob in blobs:
            self.path(blob).unlink(missing_ok=True)

    def room(self) -> int:
        """Free bytes on the disk."""
        disk = os.statvfs(self._root)
        return disk.f_bavail * disk.f_frsize

    def sweep(self, keep: set[str]) -> int:
        """Remove every file not in `keep`, the leftovers of a crash. Returns how many there were."""
        gone = 0
        for shard in SHARDS:
            with os.scandir(self._root / shard) as entries:
                for entry in entries:
                    if entry.name not in keep:
                        gone += 1
                        Path(entry.path).unlink()
        return gone

    def _name(self, blob: str) -> str:
        return f"{self._root}/{blob[:2]}/{blob}"


class Draft:
    """A blob that is being written: in memory while it is small, then in its file."""

    def __init__(self, blob: str, blobs: Blobs) -> None:
        self.blob = blob
        self.size = 0
        #: CRC-32 of the bytes so far.
        self.sum = 0
        self._blobs = blobs
        self._kept: list[bytes] = []
        self._descriptor: int | None = None
        self._flushed = 0

    def write(self, data: bytes) -> None:
        """Append the bytes. Raises OSError."""
        self.size += len(data)
        self.sum = zlib.crc32(data, self.sum)
        if self._descriptor is None:
            self._kept.append(data)
            if self.size <= SMALL and self._blobs.sync:
                return
            self._descriptor = self._blobs.make(self.blob)
            data = b"".join(self._kept)
            self._kept.clear()
        write_all(self._descriptor, data)
        if self.size - self._flushed >= FLUSH_EVERY:
            begin_writeback(self._descriptor, self._flushed, self.size - self._flushed)
            self._flushed = self.size

    def settle(self) -> bytes | None:
        """The bytes if they are few, to be kept in the ledger; otherwise None, once they are on the disk."""
        if self._descriptor is None:
            data = self._blobs.young[self.blob] = b"".join(self._kept)
            return data
        if self._blobs.sync:
            os.fdatasync(self._descriptor)
            sync_directory(self._blobs.path(self.blob).parent)
        return None

    def source(self) -> Source:
        """What was written, once it is settled; used in place of the draft."""
        return Held(self._blobs.young[self.blob]) if self._descriptor is None else File(self._descriptor)

    def discard(self) -> None:
        """Close and remove."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._blobs.remove([self.blob])


class Helper:
    """A thread for work that no request waits for: it writes the files of small blobs, and removes dropped ones.

    It sleeps through most of what it is given: waking it for each would slow down the requests.
    """

    def __init__(self, blobs: Blobs, settled: Callable[[int], None]) -> None:
        self._blobs = blobs
        self._settled = settled
        self._tasks: deque[tuple[Iterable[str], dict[str, int]]] = deque()
        self._some = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="s3-durable-helper", daemon=True)
        self._thread.start()

    def give(self, dropped: Iterable[str], small: dict[str, int]) -> None:
        """Remove the dropped blobs, and write the small ones, whose rows in the ledger are named with them."""
        if dropped or small:
            self._tasks.append((dropped, small))
            if not self._some.is_set():
                self._some.set()
            if len(self._tasks) == SETTLE_COUNT:
                self._hurry.set()

    def close(self) -> None:
        """Finish all waiting work."""
        self._closing = True
        self._some.set()
        self._hurry.set()
        self._thread.join()

    def _run(self) -> None:
        waiting: dict[str, int] = {}
        pause = SETTLE_SECONDS
        while True:
            self._some.wait()
            self._hurry.wait(pause)
            closing = self._closing
            self._some.clear()
            self._hurry.clear()
            self._take(waiting)
            done = self._settle(waiting)
            if closing:
                return
            pause = SETTLE_SECONDS
            if not done:
                pause = RETRY_SECONDS
                self._some.set()

    def _take(self, waiting: dict[str, int]) -> None:
        """Remove what was dropped meanwhile, and add new work to what is waiting."""
        dropped: set[str] = set()
        while self._tasks:
            gone, small = self._tasks.popleft()
            waiting |= small
            dropped.update(gone)
        for blob in dropped:
            waiting.pop(blob, None)
        try:
            self._blobs.remove(dropped)
        except OSError as error:
            LOG.warning("Some replaced files stay until the next start: %s", error)

    def _settle(self, waiting: dict[str, int]) -> bool:
        """Write the files of these blobs and delete their bodies. False: some stay in the ledger for now."""
        fitting = self._fitting(waiting)
        if fitting:
            try:
                self._blobs.settle(fitting)
                self._settled(max(fitting.values()))
            except Damaged:  # logged already; nothing is answered any more
                waiting.clear()
                return True
            except Exception as error:  # of the disk or of the database
                self._keep_in_ledger(fitting, error)
                return False
        for blob in fitting:
            self._blobs.young.pop(blob, None)
            del waiting[blob]
        return not waiting

    def _fitting(self, waiting: dict[str, int]) -> dict[str, int]:
        """The oldest of these, as many as the disk has space for: the last space of a full disk is for deletes."""
        room = self._blobs.room() - KEEP_FREE
        fitting: dict[str, int] = {}
        for blob, row in sorted(waiting.items(), key=lambda item: item[1]):
            room -= len(self._blobs.young.get(blob, b"")) + BLOCK
            if room < 0:
                break
            fitting[blob] = row
        return fitting

    def _keep_in_ledger(self, blobs: dict[str, int], error: Exception) -> None:
        LOG.warning(
            "%d small objects stay in the ledger; their files could not be written: %s", len(blobs), error
        )
        # What was written of them would only take space until the next try.
        with contextlib.suppress(OSError):
            self._blobs.unlink(blobs)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the bytes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Sync the directory's entries."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin_writeback(descriptor: int, offset: int, length: int) -> None:
    """Ask the kernel to start writing this range to the disk; returns at once. Without it, syncs are only slower."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, 2)  # SYNC_FILE_RANGE_WRITE


_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
