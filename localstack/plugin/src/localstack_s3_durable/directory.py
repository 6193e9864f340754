"""The directory: one process has it at a time, and some room in it is kept for deletes."""

import contextlib
import fcntl
import os
from pathlib import Path

from .errors import DirectoryUnusable


class Reserve:
    """Room kept for the day the disk is full: without it not even a delete could be written down.

    On that day the log must be moved into the database before it can be begun again, and the database grows by what is
    new in the log. So there must be as much room as the log may be large, and a little for the delete itself.
    """

    SIZE = 4 * 1024 * 1024
    STEP = 64 * 1024

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self.renew()

    @property
    def whole(self) -> bool:
        """Whether it is as large as it should be."""
        return self._size == self.SIZE

    def renew(self) -> None:
        """Take the room again, or as much of it as there is."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._size = os.fstat(descriptor).st_size
                disk = os.fstatvfs(descriptor)
                more = disk.f_bavail * disk.f_frsize // self.STEP * self.STEP
                size = min(self.SIZE, self._size + more)
                if size > self._size:
                    os.posix_fallocate(descriptor, 0, size)
                    self._size = size
            except OSError:  # somebody else was quicker
                os.ftruncate(descriptor, self._size)
            finally:
                os.close(descriptor)

    def spend(self) -> None:
        """Give the room away."""
        os.truncate(self._path, 0)
        self._size = 0


def take(directory: Path) -> int:
    """Make the directory ours alone. Returns the descriptor that holds the lock, for as long as it is open."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DirectoryUnusable(
            f"{directory} cannot be written ({error.strerror}). Mount a volume there that user {os.getuid()} may "
            "write to, or set S3_DURABLE_DIR to a directory that is."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DirectoryUnusable(
            f"{directory} is in use by another LocalStack. Stop that one, or set S3_DURABLE_DIR to another directory."
        ) from error
    return descriptor
