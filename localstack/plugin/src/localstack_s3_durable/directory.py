"""The directory: one process uses it at a time, and some space in it is kept for deletes."""

import contextlib
import fcntl
import os
from pathlib import Path

from .errors import DirectoryUnusable


class Reserve:
    """Space kept for when the disk is full: without it not even a delete could be recorded.

    Then the log must be moved into the database before it can start again, and the database grows by what is new in the
    log. So the reserve must be as large as the log can get, and a little more for the delete itself.
    """

    SIZE = 4 * 1024 * 1024
    STEP = 64 * 1024

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self.renew()

    @property
    def whole(self) -> bool:
        """Whether the reserve has its full size."""
        return self._size == self.SIZE

    def renew(self) -> None:
        """Take the space again, or as much of it as is free."""
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
            except OSError:  # another process took the space first
                os.ftruncate(descriptor, self._size)
            finally:
                os.close(descriptor)

    def spend(self) -> None:
        """Free the space."""
        os.truncate(self._path, 0)
        self._size = 0


def take(directory: Path) -> int:
    """Lock the directory for this process. Returns the descriptor that holds the lock, for as long as it is open."""
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
