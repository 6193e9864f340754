"""Detects damage to a SQLite file in WAL mode. Standard library only.

SQLite reads its log (`<file>-wal`) up to the first incomplete frame and drops the rest. That is right after a crash,
when no client had an answer about the rest yet; but if a bit of the log has changed, it is silent loss. So a sidecar file,
`<file>-answered`, records up to where in the log clients have had answers: 24 bytes that are written after each sync and
before any answer. They are not synced themselves: after `kill -9` they are exact, after a power failure they may be
behind, never ahead.

The log's format: https://sqlite.org/fileformat2.html#the_write_ahead_log
"""

import contextlib
import os
import sqlite3
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

_HEADER, _FRAME = 32, 24  # bytes
_MAGIC = 0x377F0682  # the last bit says in which order the bytes of a checksum's words are
_WORD = 0xFFFFFFFF
#: The sidecar: a mark, the log's two salts, the frames that were answered, and a CRC of all that.
_KEPT = struct.Struct(">8s8sII")
_MARK = b"answered"
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
    sqlite3.SQLITE_IOERR_DATA,
}


@dataclass(frozen=True)
class Position:
    """A place in a log: after so many frames of the log with these salts. A checkpoint begins another log."""

    salts: bytes
    frames: int


#: Before anything was answered.
NOTHING = Position(bytes(8), 0)


@dataclass(frozen=True)
class Log:
    """What is in a log file. `position`: after its last whole transaction; None: there is no readable log."""

    position: Position | None
    #: After the first incomplete frame there is another transaction of this log.
    more: bool
    #: There are frames of this log after `position`.
    torn: bool
    #: Where the last whole transaction ends, in bytes, and where the file does.
    end: int
    size: int


def is_damage(error: BaseException) -> bool:
    """Whether this error of `sqlite3` means that the file is damaged, and not, say, that it cannot be written."""
    if isinstance(error, UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Of the sqlite3 module itself; its text ends with the stored value, so it must not be passed on.
        return str(error).startswith("Could not decode to UTF-8")
    return code in _DAMAGE or code & 0xFF in _DAMAGE


def quick_check(database: sqlite3.Connection, seconds: float) -> tuple[str | None, bool]:
    """SQLite's own look at the file's structure, for so long at most.

    Returns what is wrong, if anything is, and whether it came to the end. Raises sqlite3.Error for anything else.
    """
    until = time.monotonic() + seconds
    database.set_progress_handler(lambda: time.monotonic() > until, 1000)
    try:
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return None, False
        if is_damage(error):
            return "its pages do not fit together", True
        raise
    finally:
        database.set_progress_handler(None, 0)
    if found == "ok":
        return None, True
    return f"its pages do not fit together ({' '.join(found.split())[:120]})", True


def keep_log(database: sqlite3.Connection) -> None:
    """Closing the database will leave file and log as they are, instead of moving the log into the file."""
    database.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)


def damage_before_opening(database: Path) -> str | None:
    """What is wrong with the file's log, in words; None if nothing is. Call it before SQLite opens the file.

    If nothing is wrong, it cuts off the incomplete end that a crash leaves: SQLite would ignore it, and `Answered` must
    not count it. If the log has no whole transaction, it also resets the sidecar: SQLite will replace such a log by one
    with random salts, and a second crash could leave that one before the sidecar is written again.
    """
    log, kept = read_log(wal_of(database)), _read(answered_of(database))
    found = _verdict(database, log, kept)
    if found is None and log.torn:
        os.truncate(wal_of(database), log.end)
    if found is None and kept is not None and kept.frames and not (log.position and log.position.frames):
        _forget(answered_of(database))
    return found


def _forget(path: Path) -> None:
    """Resets the sidecar: until it is written again, any log is accepted. Synced before SQLite writes a log."""
    with path.open("r+b") as file:
        file.write(_packed(NOTHING))
        file.flush()
        os.fsync(file.fileno())


def _verdict(database: Path, log: Log, kept: Position | None) -> str | None:
    name = wal_of(database).name
    if answered_of(database).exists() and _size(database) == 0:
        return f"{database.name} is empty or gone, and something was written to it"
    if (
        kept is None
    ):  # no answer was given yet, or another program wrote the log: only the log itself can tell
        if log.position is None:
            return f"the head of {name} is damaged" if log.more else None
        return f"{name} is damaged behind frame {log.position.frames}" if log.more else None
    if kept.frames == 0:
        return None
    if log.position is None:
        if not log.size and _written_since(database):
            return None
        what = f"the head of {name} is damaged" if log.size else f"{name} is empty or gone"
        return f"{what}, and {kept.frames} frames of it had been answered"
    if log.position.salts == kept.salts:
        if log.position.frames >= kept.frames:
            return None
        return f"{name} is whole up to frame {log.position.frames}, and {kept.frames} frames of it had been answered"
    # Each log's first salt is one more than that of the log before. A newer one begins once the older one's
    # transactions are in the file itself.
    newer = (_number(log.position.salts[:4]) - _number(kept.salts[:4])) & _WORD
    if 0 < newer < 1 << 31 or _written_since(database):
        return None
    return f"{name} is not the log that had been answered from"


def _written_since(database: Path) -> bool:
    """Whether another program has opened the file since the last answer, and moved the log into it when it closed it."""
    return database.stat().st_mtime_ns > answered_of(database).stat().st_mtime_ns


def read_log(path: Path) -> Log:
    """Go through the log and its checksums, as SQLite does when it opens the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    order, page, sums = _head(data)
    if not page:
        return Log(None, _headless(data), False, 0, len(data))
    salts, step = data[16:24], _FRAME + page
    words = struct.Struct(f"{order}{(page + 8) // 4}I")
    heads = [data[place : place + 16] for place in range(_HEADER, len(data) - 15, step)]
    whole = 0
    for number, head in enumerate(heads, 1):
        place = _HEADER + (number - 1) * step
        body = data[place : place + 8] + data[place + _FRAME : place + step]
        if head[8:] != salts or len(body) < 8 + page:
            break
        sums = _checksum(words.unpack(body), *sums)
        if struct.pack(">II", *sums) != data[place + 16 : place + _FRAME]:
            break
        if _commits(head):
            whole = number
    else:
        number = len(heads) + 1
    # `number` is the first frame that is not whole.
    more = any(head[8:] == salts and _commits(head) for head in heads[number:])
    torn = any(head[8:] == salts for head in heads[whole:])
    return Log(Position(salts, whole), more, torn, _HEADER + whole * step, len(data))


def _commits(head: bytes) -> bool:
    """Whether this frame is the last one of a transaction."""
    return head[4:8] != bytes(4)


def _head(data: bytes) -> tuple[str, int, tuple[int, int]]:
    """Order of bytes, size of a page, and checksum of a log's head; a size of 0 where it is none."""
    if len(data) < _HEADER:
        return "<", 0, (0, 0)
    magic, _, page, _, _, _, one, two = struct.unpack(">8I", data[:_HEADER])
    order = ">" if magic & 1 else "<"
    sums = _checksum(struct.unpack(f"{order}6I", data[:24]), 0, 0)
    fits = magic & ~1 == _MAGIC and 512 <= page <= 65536 and page & (page - 1) == 0
    return (order, page, sums) if fits and sums == (one, two) else ("<", 0, (0, 0))


def _headless(data: bytes) -> bool:
    """Whether a file without a log's head was one: its head was written, and so was what follows it."""
    return len(data) > _HEADER + _FRAME and any(data[:_HEADER]) and any(data[_HEADER : _HEADER + _FRAME])


def _checksum(words: tuple[int, ...], one: int, two: int) -> tuple[int, int]:
    pairs = iter(words)
    for first, second in zip(pairs, pairs, strict=True):
        one = (one + first + two) & _WORD
        two = (two + second + one) & _WORD
    return one, two


class Answered:
    """Records up to where in the log clients have had answers. For the one process that has the database open."""

    def __init__(self, database: Path) -> None:
        """To be made once the database is open and its log exists. Raises OSError."""
        self._log = os.open(wal_of(database), os.O_RDONLY | os.O_CLOEXEC)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(answered_of(database), flags, 0o600)
        except OSError:
            os.close(self._log)
            raise
        self._path = answered_of(database)
        self._forgotten = False
        self._page = 0
        self._last = NOTHING
        if os.fstat(self._file).st_size != _KEPT.size:
            self._write(NOTHING)

    def position(self) -> Position:
        """Behind the last transaction that is in the log now: what the next sync puts on the disk."""
        last = self._last
        frames = self._count(last.salts, last.frames) if self._page else 0
        if frames == last.frames:  # nothing new, or a checkpoint has begun another log
            head = os.pread(self._log, _HEADER, 0)
            if len(head) == _HEADER and head[16:24] != last.salts:
                self._page = _number(head[8:12])
                last = Position(head[16:24], 0)
                frames = self._count(last.salts, 0)
        self._last = Position(last.salts, frames)
        return self._last

    def _count(self, salts: bytes, frames: int) -> int:
        """How many frames of whole transactions there are, so many being known."""
        there, step = frames, _FRAME + self._page
        while True:
            frame = os.pread(self._log, 16, _HEADER + there * step)
            if frame[8:] != salts:
                return frames
            there += 1
            if _commits(frame):
                frames = there

    def note(self, position: Position) -> None:
        """Records that the log is on the disk up to there, so clients may have answers about it from now on."""
        with contextlib.suppress(OSError):  # then the sidecar is behind, which is always safe
            self._write(position)

    def _write(self, position: Position) -> None:
        os.pwrite(self._file, _packed(position), 0)

    def forget(self, database: sqlite3.Connection) -> None:
        """To be called before the database is closed, and `close` after it: its log goes then."""
        try:
            self._write(NOTHING)
            os.fsync(self._file)
        except OSError:
            keep_log(database)
        else:
            self._forgotten = True

    def close(self) -> None:
        """Closes both files, and deletes the sidecar if its log is gone."""
        os.close(self._log)
        os.close(self._file)
        if self._forgotten:
            self._path.unlink(missing_ok=True)


def wal_of(database: Path) -> Path:
    """The database's log."""
    return database.with_name(f"{database.name}-wal")


def answered_of(database: Path) -> Path:
    """The sidecar file beside the database."""
    return database.with_name(f"{database.name}-answered")


def _packed(position: Position) -> bytes:
    """The sidecar's content."""
    record = _KEPT.pack(_MARK, position.salts, position.frames, 0)[:-4]
    return record + struct.pack(">I", zlib.crc32(record))


def _read(path: Path) -> Position | None:
    """What the sidecar says; None if it is not there or says nothing that can be believed."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) != _KEPT.size:
        return None
    mark, salts, frames, crc = _KEPT.unpack(data)
    return Position(salts, frames) if mark == _MARK and crc == zlib.crc32(data[:-4]) else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
