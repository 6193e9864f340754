"""Bytes of objects and parts, one file each, written once and never changed.

A file counts only while the ledger names it. So nothing here needs to be undone after a crash: a file nobody
names is swept at the next start.

The bytes of a large file are on the disk before the answer. Those of a small one are by then only in the file and in
the ledger (see `Ledger.apply`), whose one sync serves both; the helper syncs the files themselves, many at a time.
"""

import ctypes
import logging
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

LOG = logging.getLogger(__name__)
#: Bytes after which the kernel is asked to begin writing out, so that the last sync has little left to do.
FLUSH_EVERY = 2 * 1024 * 1024
#: Up to this many bytes a blob is small.
SMALL = 32 * 1024
#: Small files are synced when there are this many, or the first has waited this many seconds.
SETTLE_COUNT = 512
SETTLE_SECONDS = 1.0
SHARDS = [f"{n:02x}" for n in range(256)]


class Blobs:
    """The directory of blobs: `<root>/<first two digits of the id>/<id>`."""

    def __init__(self, root: Path, sync: bool = True) -> None:
        self._root = root
        self.sync = sync
        for shard in SHARDS:
            (root / shard).mkdir(parents=True, exist_ok=True)
        sync_directory(root)
        sync_directory(root.parent)
        self._made = 0
        self._shard = secrets.choice(SHARDS)

    def path(self, blob: str) -> Path:
        """Where the blob's bytes are."""
        return self._root / blob[:2] / blob

    def open(self, blob: str) -> int:
        """A file descriptor to read the blob with. Raises FileNotFoundError."""
        return os.open(f"{self._root}/{blob[:2]}/{blob}", os.O_RDONLY | os.O_CLOEXEC)

    def create(self) -> "Draft":
        """A new blob to write to."""
        # Files made one after the other share a directory: fewer directories to sync.
        self._made += 1
        if self._made % SETTLE_COUNT == 0:
            self._shard = secrets.choice(SHARDS)
        blob = self._shard + secrets.token_hex(15)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return Draft(blob, os.open(f"{self._root}/{blob[:2]}/{blob}", flags, 0o600), self)

    def restore(self, blob: str, data: bytes) -> None:
        """Write these bytes as this blob, whatever is there."""
        with self.path(blob).open("wb") as file:
            file.write(data)

    def settle(self, blobs: Iterable[str]) -> None:
        """Return once these blobs, as far as they still are, and their names are on the disk."""
        for blob in blobs:
            try:
                descriptor = self.open(blob)
            except FileNotFoundError:
                continue
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        for shard in {blob[:2] for blob in blobs}:
            sync_directory(self._root / shard)

    def remove(self, blobs: Iterable[str]) -> None:
        """Remove these blobs. Whoever is reading one reads it to its end."""
        for blob in blobs:
            self.path(blob).unlink(missing_ok=True)

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


class Draft:
    """A blob being written. Its descriptor reads as well."""

    def __init__(self, blob: str, descriptor: int, blobs: Blobs) -> None:
        self.blob = blob
        self.descriptor = descriptor
        self.size = 0
        self._blobs = blobs
        self._flushed = 0
        self._kept: list[bytes] | None = [] if blobs.sync else None

    def write(self, data: bytes) -> None:
        """Append the bytes."""
        view = memoryview(data)
        while view:
            written = os.write(self.descriptor, view)
            view = view[written:]
        self.size += len(data)
        if self._kept is not None:
            if self.size <= SMALL:
                self._kept.append(data)
            else:
                self._kept = None
        if self.size - self._flushed >= FLUSH_EVERY:
            begin_writeback(self.descriptor, self._flushed, self.size - self._flushed)
            self._flushed = self.size

    def settle(self) -> bytes | None:
        """Return the bytes if they are few, to be kept in the ledger; else None, once they are on the disk."""
        if self._kept is not None:
            return b"".join(self._kept)
        if self._blobs.sync:
            os.fdatasync(self.descriptor)
            sync_directory(self._blobs.path(self.blob).parent)
        return None

    def discard(self) -> None:
        """Close and remove."""
        os.close(self.descriptor)
        self._blobs.remove([self.blob])


class Helper:
    """A thread for what nobody waits for: syncing small blobs and removing dropped ones."""

    def __init__(self, blobs: Blobs, settled: Callable[[int], None]) -> None:
        self._blobs = blobs
        self._settled = settled
        self._tasks: queue.SimpleQueue[tuple[Iterable[str], dict[str, int]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="s3-durable-helper", daemon=True)
        self._thread.start()

    def give(self, dropped: Iterable[str], small: dict[str, int]) -> None:
        """Remove the dropped blobs, and sync the small ones, whose rows in the ledger are named with them."""
        if dropped or small:
            self._tasks.put((dropped, small))

    def close(self) -> None:
        """Finish what is there to do."""
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        waiting: dict[str, int] = {}
        due = 0.0
        while True:
            try:
                task = self._tasks.get(timeout=max(0.0, due - time.monotonic()) if waiting else None)
            except queue.Empty:
                self._settle(waiting)
                continue
            if task is None:
                self._settle(waiting)
                return
            dropped, small = task
            for blob in dropped:
                waiting.pop(blob, None)
            try:
                self._blobs.remove(dropped)
            except OSError as error:
                LOG.warning("Some replaced files stay until the next start: %s", error)
            if small and not waiting:
                due = time.monotonic() + SETTLE_SECONDS
            waiting |= small
            if len(waiting) >= SETTLE_COUNT:
                self._settle(waiting)

    def _settle(self, waiting: dict[str, int]) -> None:
        if not waiting:
            return
        try:
            self._blobs.settle(waiting)
            self._settled(max(waiting.values()))
        except (
            Exception
        ) as error:  # of the disk or of the database: the bodies stay in the ledger, nothing is lost
            LOG.warning(
                "%d small files could not be synced and stay in the ledger too: %s", len(waiting), error
            )
        waiting.clear()


def sync_directory(path: Path) -> None:
    """Put the directory's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin_writeback(descriptor: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing this range out; returns at once. Where it cannot be asked, nothing is lost."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, 2)  # SYNC_FILE_RANGE_WRITE


_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
