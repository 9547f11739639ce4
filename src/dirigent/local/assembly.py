"""A weights file in the making: bytes go in in order, and every stretch is checked when it is full."""

from __future__ import annotations

import hashlib
import os
from itertools import accumulate
from pathlib import Path

from dirigent.local.kit import Weights

__all__ = ["Assembly", "Mismatch"]

_BLOCK = 1 << 20


class Mismatch(Exception):
    """Bytes that are not the pinned ones; the message says which."""


class Assembly:
    """The file beside its final name that a pull fills.

    It always holds a beginning of the file: a stretch that does not match its hash is cut off as soon as it is full,
    also one that an earlier pull left, so that a pull goes on behind good bytes. Blocking: call it in a thread. Opening
    reads what is there, about a second for each GB.
    """

    def __init__(self, weights: Weights, path: Path) -> None:
        self.weights = weights
        self.path = path
        self.length = 0
        """Bytes of the file so far."""
        self._ends = [*accumulate(part.bytes for part in weights.parts)]
        self._full = 0
        """Stretches that are full and right."""
        self._whole, self._stretch = hashlib.sha256(), hashlib.sha256()
        self._whole_before = self._whole.copy()
        self._file = path.open("r+b" if path.exists() else "w+b")
        try:
            while block := self._file.read(_BLOCK):
                self._take(block, writing=False)
        except Mismatch:
            return  # what was wrong is cut off already
        self._file.seek(self.length)

    @staticmethod
    def holds(path: Path, weights: Weights) -> bool:
        """Whether the file at `path` is these weights, byte for byte."""
        if path.stat().st_size != weights.bytes:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == weights.sha256

    def add(self, block: bytes) -> None:
        """Appends `block`. Raises Mismatch where it fills a stretch wrongly; the file then ends before that stretch."""
        self._take(block, writing=True)

    def finish(self, to: Path) -> None:
        """Gives the full file its name, durably. Raises Mismatch, and empties it, where its sha256 is another."""
        if self.length != self.weights.bytes or self._whole.hexdigest() != self.weights.sha256:
            self._file.truncate(0)
            self.length = 0
            raise Mismatch("the sha256 of the whole file")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.replace(to)

    def close(self) -> None:
        """Closes the file and leaves it for the next pull; an empty one is removed."""
        self._file.close()
        if self.length == 0:
            self.path.unlink(missing_ok=True)

    def _take(self, block: bytes, *, writing: bool) -> None:
        rest = memoryview(block)
        while rest:
            end = self._ends[self._full] if self._full < len(self._ends) else self.weights.bytes
            piece, rest = rest[: end - self.length], rest[end - self.length :]
            if not piece:
                self._file.truncate(self.length)
                raise Mismatch(f"more than {self.weights.bytes} bytes")
            self._whole.update(piece)
            self._stretch.update(piece)
            self.length += len(piece)
            if writing:
                self._file.write(piece)
            if self._full < len(self._ends) and self.length == end:
                self._close_stretch()

    def _close_stretch(self) -> None:
        part = self.weights.parts[self._full]
        right = self._stretch.hexdigest() == part.sha256
        self._stretch = hashlib.sha256()
        if right:
            self._full += 1
            self._whole_before = self._whole.copy()
            return
        end, self.length = self.length, self.length - part.bytes
        self._whole = self._whole_before.copy()
        self._file.truncate(self.length)
        self._file.seek(self.length)
        raise Mismatch(f"bytes {self.length} to {end}, which {part.requirement} carries")
