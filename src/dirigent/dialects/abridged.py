"""JSON without its long strings, for whoever wants its structure; it knows no wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Raw

__all__ = ["Abridged", "AbridgedFields"]

_LONG: Final = 4_096
"""The bytes between two quotation marks from which it is worth while to leave them out."""
_KEPT: Final = 64
"""The first bytes of such a stretch, which stay."""
_MARK: Final = b"\x7f"
"""What stands for the rest of it; JSON may have it, and hardly any has."""
_BARE: Final = b"truefalsn0123456789+-.eE,:[]{} \t\r\n"
"""What stands outside of strings, in words too: where anything else stands is a string, or all of it is no JSON."""
_FORBIDDEN: Final = (b"\\", b"\n", b"\r", b"\t", b"\0")
"""What makes a string mean something else than its bytes, or no string."""


class Abridged:
    """A JSON text without most of its long strings: pictures, sounds and documents in base64.

    `text` is JSON just where the whole is, with the same structure. That takes a few searches for single bytes, a
    quarter of what reading the whole once would. In what is left out, of all that JSON forbids only the control
    characters are looked for that do occur: who reads the whole, here or at a provider, finds the others.
    """

    __slots__ = ("_body", "_left_out", "text")

    def __init__(self, body: bytes, text: bytes, left_out: list[tuple[int, int]]) -> None:
        self.text = text
        self._body = body
        self._left_out = left_out

    @staticmethod
    def of(body: bytes) -> Abridged | None:
        """None where there is nothing that is worth leaving out."""
        kept: list[bytes] = []
        left_out: list[tuple[int, int]] = []
        at, done, size = _LONG, 0, len(body)
        while at < size:
            end = body.find(b'"', at)
            if end < 0:
                break
            start = body.rfind(b'"', done, at) + 1
            if end - start >= _LONG and _is_plain(body, start, end):
                kept.append(body[done : start + _KEPT])
                left_out.append((start + _KEPT, end))
                done = end
            at = end + _LONG
        if not left_out:
            return None
        kept.append(body[done:])
        text = _MARK.join(kept)
        return Abridged(body, text, left_out) if text.count(_MARK) == len(left_out) else None

    def holds_all(self, part: Raw | bytes) -> bool:
        """Whether all that is left out of the text is left out of this part of it."""
        return bytes(part).count(_MARK) == len(self._left_out)

    def whole(self, part: Raw | bytes) -> bytes:
        """A part that `holds_all`, with what was left out of it."""
        first, *others = bytes(part).split(_MARK)
        body = memoryview(self._body)
        told: list[bytes | memoryview] = [first]
        for (start, end), piece in zip(self._left_out, others, strict=True):
            told += (body[start:end], piece)
        return b"".join(told)


def _is_plain(body: bytes, start: int, end: int) -> bool:
    """Whether this stretch without quotation marks is inside of a string, and stands for itself."""
    if not body[start : start + _KEPT].translate(None, _BARE):
        return False
    if any(body.find(each, start, end) >= 0 for each in _FORBIDDEN):
        return False
    return body.isascii() or body[start:end].isascii()


class AbridgedFields(Mapping[str, Raw]):
    """The fields of an abridged JSON object, as they are in the whole; only one field has long strings."""

    def __init__(self, abridged: Abridged, fields: Mapping[str, Raw], long: str) -> None:
        self.abridged = abridged
        self.brief = fields
        """The fields as they are in the abridged text."""
        self._long = long

    def __getitem__(self, name: str) -> Raw:
        field = self.brief[name]
        return field if name != self._long else Raw(self.abridged.whole(field))

    def __contains__(self, name: object) -> bool:
        return name in self.brief

    def __iter__(self) -> Iterator[str]:
        return iter(self.brief)

    def __len__(self) -> int:
        return len(self.brief)
