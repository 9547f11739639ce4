"""The local log of a holder: every hold and every settlement, in the kernel's hands before anybody is asked for money.

A line is written at once, so a process that is killed loses none; it is on the disk a few milliseconds later, with all
that came in between. The lock on `<holder>.lock` lasts as long as the process. Lines carry a checksum, since the last
one of a machine that lost its power may be torn. Parts are deleted once the database has all that stands in them.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from time import monotonic, sleep

import msgspec

from dirigent.core.errors import Unavailable
from dirigent.store.ledger.opening import Header, Opened

__all__ = ["PRESUMED", "Log", "LogFailed", "amounts", "boot_of", "lines", "locked", "pairs"]

PRESUMED = -1
"""Stands for the actual amount of a hold where nobody knows it."""
PART = 16 * 1024 * 1024
"""Bytes after which a new part is begun."""
_PATIENCE = 2.0
"""Seconds that a holder waits for its own lock."""
_FRAME = Struct("<IH")
"""Of each line: the checksum of what follows, and its length."""
_HEAD = Struct("<BQ")


class _Forms(dict[int, Struct]):
    """Packed forms by how often a piece repeats, each made when first needed: all of them took three megabytes."""

    def __init__(self, head: str, piece: str) -> None:
        super().__init__()
        self._head, self._piece = head, piece

    def __missing__(self, count: int) -> Struct:
        form = self[count] = Struct(self._head + self._piece * count)
        return form


_PAIRS = _Forms("<", "Iq")
_AMOUNTS = _Forms("<Q", "q")
HEADER, OPENED, HELD, SETTLED = range(4)


class LogFailed(Unavailable):
    """The local log cannot be written: no money is reserved that a crash could make us forget."""

    code = "ledger_unavailable"


def boot_of() -> str:
    """Which start of the machine this is; empty where it does not say, and then no other start is the same."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


class Log:
    """Writes lines, each under a number that rises; `synced` tells up to which of them they survive a power cut."""

    def __init__(self, folder: Path, holder: str, boot: str | None = None, part: int = PART) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.written = 0
        """The number of the last line."""
        self.synced = 0
        self._folder = folder
        self._holder = holder
        self._boot = boot_of() if boot is None else boot
        self._most = part
        self._owed: list[tuple[int, bytes]] = []
        self._before: list[tuple[Path, int, int]] = []
        """The parts before the present one: where, the descriptor, and the number of the last line."""
        self._number = 0
        self._fresh = True
        """Whether the folder has a file that a power cut may still take out of it."""
        patience = monotonic() + _PATIENCE
        while (lock := locked(folder / f"{holder}.lock")) is None:
            # whoever puts away the logs of the dead may look at a lock in the moment in which it is made
            if monotonic() > patience:
                raise LogFailed(f"the log of {holder} is in use")
            sleep(0.01)
        self._lock = lock
        self._path, self._descriptor, self._size = self._part(b"")

    def opened(self, index: int, window: str) -> None:
        """A window gets the number by which holds name it. Raises LogFailed."""
        self._write(_opening(index, window))

    def held(self, amounts: Sequence[int]) -> int:
        """A hold of `window, amount, window, amount, …`; the number it goes by. Raises LogFailed, and then none is."""
        number = self.written + 1
        self._write(_line(HELD, number, _PAIRS[len(amounts) // 2].pack(*amounts)))
        self.written = number
        return number

    def settled(self, hold: int, actual: Sequence[int]) -> int:
        """What a hold came to, in the order of its windows; PRESUMED where nobody knows.

        Never fails: a line that cannot be written now is owed, and `synced` stays before it until it has been.
        """
        number = self.written + 1
        line = _line(SETTLED, number, _AMOUNTS[len(actual)].pack(hold, *actual))
        try:
            self._write(line)
        except LogFailed:
            self._owed.append((number, line))
        self.written = number
        return number

    def sync(self) -> int:
        """Brings all that is written onto the disk, for a thread; the number up to which that is so.

        Raises LogFailed.
        """
        number, owed, fresh = self.written, list(self._owed), self._fresh
        if owed:
            number = min(number, owed[0][0] - 1)
        try:
            for descriptor in (*(each[1] for each in self._before), self._descriptor):
                os.fdatasync(descriptor)
            if fresh:
                folder = os.open(self._folder, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
                self._fresh = False
        except OSError as fault:
            raise _failed(fault) from fault
        self.synced = max(self.synced, number)
        return self.synced

    def pay(self) -> None:
        """Writes what is owed. Raises LogFailed."""
        while self._owed:
            self._append(self._owed[0][1])
            del self._owed[0]

    @property
    def full(self) -> bool:
        """Whether it is time for another part."""
        return self._size > self._most and not self._owed

    def turn(self, windows: Iterable[tuple[int, str]], holds: Iterable[tuple[int, Sequence[int]]]) -> None:
        """Begins another part with all that is still open. Raises LogFailed, and then the present one goes on.

        Never at the same time as `sync`, nor is `forget`.
        """
        still_open = [_opening(*each) for each in windows]
        still_open += [_line(HELD, number, _PAIRS[len(each) // 2].pack(*each)) for number, each in holds]
        part = self._part(b"".join(still_open))
        self._before.append((self._path, self._descriptor, self.written))
        self._path, self._descriptor, self._size = part
        self._fresh = True

    def forget(self, flushed: int) -> None:
        """Deletes the parts all of whose settlements the database has, once what follows them is on the disk."""
        while not self._fresh and self._before and self._before[0][2] <= min(flushed, self.synced):
            path, descriptor, _ = self._before.pop(0)
            os.close(descriptor)
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the files, which stay for whoever comes next."""
        for descriptor in (*(each[1] for each in self._before), self._descriptor, self._lock):
            os.close(descriptor)

    def delete(self) -> None:
        """Deletes all of it: the database has everything."""
        for path in (*(each[0] for each in self._before), self._path, self._folder / f"{self._holder}.lock"):
            path.unlink(missing_ok=True)
        self.close()

    def _part(self, still_open: bytes) -> tuple[Path, int, int]:
        path = self._folder / f"{self._holder}.{self._number + 1:06d}.log"
        text = _line(HEADER, 0, msgspec.json.encode(Header(self._holder, self._boot))) + still_open
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if os.write(descriptor, text) != len(text):
                os.close(descriptor)
                path.unlink()
                raise LogFailed("the ledger's log cannot be written: no space is left")
        except OSError as fault:
            raise _failed(fault) from fault
        self._number += 1
        return path, descriptor, len(text)

    def _write(self, line: bytes) -> None:
        if self._owed:
            self.pay()
        self._append(line)

    def _append(self, line: bytes) -> None:
        try:
            if self._size < 0:  # the last line was cut, and what follows half a line would be lost with it
                os.ftruncate(self._descriptor, -self._size)
                self._size = -self._size
            written = os.write(self._descriptor, line)
        except OSError as fault:
            raise _failed(fault) from fault
        if written != len(line):
            self._size = -self._size
            raise LogFailed("the ledger's log cannot be written: no space is left")
        self._size += written


def locked(path: Path) -> int | None:
    """The descriptor of a lock file that is now ours; None where a process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)  # somebody has deleted it in between: what we hold is nobody's lock


def lines(data: bytes) -> Iterable[tuple[int, int, bytes]]:
    """The kind, number and rest of each line, up to the first that is torn."""
    place = 0
    try:
        while place < len(data):
            checksum, length = _FRAME.unpack_from(data, place)
            place += _FRAME.size
            payload = data[place : place + length]
            place += length
            if len(payload) != length or zlib.crc32(payload) != checksum:
                return
            kind, number = _HEAD.unpack_from(payload)
            yield kind, number, payload[_HEAD.size :]
    except struct.error:
        return


def pairs(rest: bytes) -> list[tuple[int, int]]:
    """The windows of a hold and its amounts."""
    flat = _PAIRS[len(rest) // 12].unpack(rest)
    return list(zip(flat[::2], flat[1::2], strict=True))


def amounts(rest: bytes) -> tuple[int, tuple[int, ...]]:
    """The hold that a settlement is of, and what it came to."""
    hold, *actual = _AMOUNTS[len(rest) // 8 - 1].unpack(rest)
    return hold, tuple(actual)


def _opening(index: int, window: str) -> bytes:
    return _line(OPENED, 0, msgspec.json.encode(Opened(index, window)))


def _line(kind: int, number: int, rest: bytes) -> bytes:
    payload = _HEAD.pack(kind, number) + rest
    return _FRAME.pack(zlib.crc32(payload), len(payload)) + payload


def _failed(fault: OSError) -> LogFailed:
    return LogFailed(f"the ledger's log cannot be written: {fault.strerror or fault}")
