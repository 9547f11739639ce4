"""Rows that wait in files while the database is away: appended, fsynced, and read back once, even after a crash."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Generic, TypeVar
from zlib import crc32

import msgspec
from sqlalchemy import Connection, text

__all__ = ["Spool", "drained_up_to", "forget_drained", "note_drained"]

S = TypeVar("S", bound=msgspec.Struct)
_HEAD = 8
"""Bytes before each batch: its length and its checksum."""
_MOST = 1 << 30
"""Bytes on disk beyond which nothing more is set aside."""


class Spool(Generic[S]):
    """The files of one outbox. Each belongs to the process that holds its lock; one whose process died is adopted."""

    def __init__(self, folder: Path, name: str, kind: type[S]) -> None:
        self._folder = folder
        self._name = name
        self._decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
        self._encoder = msgspec.msgpack.Encoder()
        self._open: dict[Path, BinaryIO] = {}
        self._own: Path | None = None
        self.waiting = 0
        """Bytes that wait."""

    def adopt(self) -> None:
        """Takes over the files that processes left behind."""
        for path in sorted(self._folder.glob(f"{self._name}-*.spool")):
            file = path.open("rb")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # its process lives
                file.close()
                continue
            if not path.exists():  # somebody else has just written what was in it
                file.close()
                continue
            self._open[path] = file
            self.waiting += path.stat().st_size

    def add(self, rows: Sequence[S]) -> None:
        """Sets rows aside, durably. Raises OSError where there is no room, and then nothing was set aside."""
        if not rows:
            return
        batch = self._encoder.encode(list(rows))
        frame = len(batch).to_bytes(4, "big") + crc32(batch).to_bytes(4, "big") + batch
        if self.waiting + len(frame) > _MOST:
            raise OSError(27, "no more than 1 GiB is set aside")
        file = self._open[self._own] if self._own is not None else self._begun()
        start = file.seek(0, os.SEEK_END)
        try:
            file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(start)
            raise
        self.waiting += len(frame)

    def files(self) -> list[Path]:
        """The files that hold something, the oldest first."""
        return sorted(self._open, key=lambda path: path.stat().st_mtime_ns)

    def frames(self, path: Path, start: int) -> Iterator[tuple[Sequence[S], int]]:
        """The batches of a file from this place on, and where each ends. A torn last one was never set aside."""
        file = self._open[path]
        file.seek(start)
        while len(head := file.read(_HEAD)) == _HEAD:
            batch = file.read(int.from_bytes(head[:4], "big"))
            if crc32(batch) != int.from_bytes(head[4:], "big"):
                return
            start += _HEAD + len(batch)
            yield self._decoder.decode(batch), start

    def remove(self, path: Path) -> None:
        """Removes a file all of which is written."""
        self.waiting -= path.stat().st_size
        path.unlink()
        self._open.pop(path).close()
        if path == self._own:
            self._own = None

    def close(self) -> None:
        """Lets go of the files; what is in them waits for the next process."""
        for file in self._open.values():
            file.close()
        self._open.clear()
        self._own = None

    def _begun(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._name}-{token_hex(8)}.spool"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        file = os.fdopen(descriptor, "r+b")
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)  # or the file's name may not outlive the power
        os.close(folder)
        self._own = path
        self._open[path] = file
        return file


def drained_up_to(connection: Connection, file: str) -> int:
    """How many bytes of a file are in the database already."""
    found = connection.execute(text("""SELECT position FROM drained WHERE file = :file"""), {"file": file}).scalar()
    return int(found or 0)


def note_drained(connection: Connection, file: str, position: int) -> None:
    """Notes that a file is in the database up to this byte, in the transaction that put it there."""
    connection.execute(
        text("""
            INSERT INTO drained (file, position) VALUES (:file, :position)
            ON CONFLICT (file) DO UPDATE SET position = excluded.position"""),
        {"file": file, "position": position},
    )


def forget_drained(connection: Connection, file: str) -> None:
    """Forgets a file that is no more."""
    connection.execute(text("""DELETE FROM drained WHERE file = :file"""), {"file": file})
