"""The static tier: a vector for a text as the sum of its words' vectors, read from a mapped file in microseconds.

The words' vectors were distilled once from the multilingual encoder, as model2vec does it (encode each word alone, keep
the directions that matter, weigh words by rarity); `tools/domain/build.py` is the whole method. Here there is no numpy,
because a gateway worker has to stay small: a row of bytes is read as two long integers with one 16-bit lane per
dimension, so that adding two integers adds all lanes at once. At 256 words of at most 255 each no lane overflows.

The file, all little-endian: the magic, then as u32 the dimensions, the rows and the slots; then `slots` keys and
`slots` row numbers (u32: a hash table with open addressing; key = CRC-32 of the word, 0 = empty); then the rows, one
byte per dimension, 128 standing for zero. Words themselves are not stored.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from zlib import crc32

__all__ = ["DATA", "StaticTable", "excerpt", "packed", "pieces", "words"]

DATA = Path(__file__).parent / "data"

_MAGIC = b"DIRSTAT1"
_HEADER = struct.Struct("<8s3I")
_WORD = re.compile(r"[^\W\d_]{2,}")
_WORDS = 256
"""Words looked at per text: more of them rarely change the subject, and 16-bit lanes hold the sum of no more."""
_HEAD, _TAIL = 1600, 400
"""Characters looked at: the beginning, where the matter is stated, and the end, where the question often stands."""
_LONGEST = 32
"""Letters of the longest word that is split; what is longer is a key, an address or encoded data."""
_LONGEST_PIECE = 18
_SHORTEST_PIECE = 3
_SPLITS = 32
"""Unknown words split per text: bounds the time that a text without any known word can cost."""
_UMLAUTS = (("ae", "ä"), ("oe", "ö"), ("ue", "ü"))

Find = Callable[[str], int | None]
"""The row of a word, or None."""


def excerpt(text: str, head: int = _HEAD, tail: int = _TAIL) -> str:
    """The part of a text that is looked at: all of a short one, beginning and end of a long one."""
    return text if len(text) <= head + tail else f"{text[:head]} {text[-tail:]}"


def words(text: str) -> list[str]:
    """The case-folded words that are looked at, in order."""
    return _WORD.findall(excerpt(text).casefold())[:_WORDS]


def pieces(word: str, find: Find, *, split: bool = True) -> list[int]:
    """The rows of a case-folded word: its own, else those of the longest known pieces from the left.

    So `lieferkettengesetz` is read as `lieferketten` and `gesetz`, and `kuendigung` as `kündigung`.
    """
    row = find(word)
    if row is not None:
        return [row]
    for ascii_form, umlaut in _UMLAUTS:
        if ascii_form in word:
            word = word.replace(ascii_form, umlaut)
            row = find(word)
            if row is not None:
                return [row]
    return list(_split(word, find)) if split and len(word) <= _LONGEST else []


def _split(word: str, find: Find) -> Iterator[int]:
    start, length = 0, len(word)
    while length - start >= _SHORTEST_PIECE:
        for end in range(min(length, start + _LONGEST_PIECE), start + _SHORTEST_PIECE - 1, -1):
            row = find(word[start:end])
            if row is not None:
                yield row
                start = end
                break
        else:
            start += 1


class StaticTable:
    """Vectors of words, mapped from a file: its pages are shared by all workers and read when they are needed."""

    def __init__(self, path: Path = DATA / "static_table.bin") -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, self.dimensions, self.rows, slots = _HEADER.unpack_from(self._map)
        body = _HEADER.size + 8 * slots
        if magic != _MAGIC or slots & (slots - 1) or len(self._map) != body + self.rows * self.dimensions:
            raise ValueError(f"{path} is not a static table: it is damaged or of another version")
        view = memoryview(self._map)
        self._keys: memoryview[int] = view[_HEADER.size : _HEADER.size + 4 * slots].cast("I")
        self._places: memoryview[int] = view[_HEADER.size + 4 * slots : body].cast("I")
        self._mask: int = slots - 1
        self._body = body
        self._lanes = int.from_bytes(b"\xff\x00" * (self.dimensions // 2), "little")
        self._known = lru_cache(maxsize=4096)(self._sum)

    def find(self, word: str) -> int | None:
        """The row of a case-folded word, or None where the table does not have it."""
        key = _key(word)
        slot = key & self._mask
        keys = self._keys
        while (there := keys[slot]) != key:
            if there == 0:
                return None
            slot = (slot + 1) & self._mask
        return self._places[slot]

    def vector(self, text: str) -> list[int]:
        """The sum of the vectors of the text's words; all zeros where no word is known."""
        even = odd = count = 0
        splits = _SPLITS
        for word in words(text):
            row_even, row_odd, pieces_known, split = self._known(word, min(splits, 1))
            if count + pieces_known > _WORDS:
                break
            splits -= split
            even += row_even
            odd += row_odd
            count += pieces_known
        size = self.dimensions
        evens = memoryview(even.to_bytes(size, "little")).cast("H")
        odds = memoryview(odd.to_bytes(size, "little")).cast("H")
        bias = 128 * count
        return [lane - bias for pair in zip(evens, odds, strict=True) for lane in pair]

    def _sum(self, word: str, splits_left: int) -> tuple[int, int, int, int]:
        rows = pieces(word, self.find, split=splits_left > 0)
        even = odd = 0
        for row in rows:
            start = self._body + row * self.dimensions
            lanes = int.from_bytes(self._map[start : start + self.dimensions], "little")
            even += lanes & self._lanes
            odd += (lanes >> 8) & self._lanes
        return even, odd, len(rows), int(splits_left > 0 and self.find(word) is None)


def packed(known: list[str], vectors: bytes, dimensions: int) -> bytes:
    """The file of a table: `vectors` holds one row per word of `known`, one byte per dimension, 128 for zero.

    Where two words have the same key, the first stays. Raises ValueError where `dimensions` is odd or the sizes differ.
    """
    if dimensions % 2 or len(vectors) != len(known) * dimensions:
        raise ValueError(f"{len(vectors)} bytes are not {len(known)} rows of an even number of dimensions")
    slots = 1 << (len(known) * 4 // 3).bit_length()
    keys, places = [0] * slots, [0] * slots
    for row, word in enumerate(known):
        key = _key(word)
        slot = key & (slots - 1)
        while keys[slot] not in {0, key}:
            slot = (slot + 1) & (slots - 1)
        if keys[slot] == 0:
            keys[slot], places[slot] = key, row
    header = _HEADER.pack(_MAGIC, dimensions, len(known), slots)
    return b"".join((header, struct.pack(f"<{slots}I", *keys), struct.pack(f"<{slots}I", *places), vectors))


def _key(word: str) -> int:
    return crc32(word.encode()) or 1
