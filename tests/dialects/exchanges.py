"""Golden exchanges: what providers sent, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Response
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import Dialect

__all__ = ["Exchanges", "cut", "until_it_fails"]

GOLDEN: Final = Path(__file__).resolve().parents[1] / "golden"
T = TypeVar("T")


class Exchanges(NamedTuple):
    """The golden files of one dialect. `tests/dialects/test_exchanges.py` holds what all of them have in common."""

    dialect: Dialect
    meaning: Callable[[Response], Any]
    """What a response means, as far as the tables say it; a tuple, choice by choice, where there may be several."""
    streams: Mapping[str, tuple[Any, Usage | None]]
    """What each stream means, and the usage that it reports."""
    broken: Mapping[str, tuple[type[DirigentError], str, Sequence[Event]]]
    """The error with which each stream breaks off, some of its words, and what was said before."""
    whole: Mapping[str, tuple[Any, Usage | None]]
    """What each whole answer means, and the usage that it reports."""
    others: frozenset[str] = frozenset()
    """The files that only the dialect's own tests are about."""
    unwatched: frozenset[str] = frozenset()
    """Streams that break off by what only somebody notices who reads them, and that go by verbatim therefore."""
    suffix: str = "sse"
    framed: Callable[[bytes], bytes] | None = None
    """How the bytes of a stream are made of its file, where the file is not those bytes."""

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return GOLDEN / self.dialect.name

    def stream(self, name: str) -> bytes:
        """The bytes of a stream."""
        data = (self.folder / f"{name}.{self.suffix}").read_bytes()
        return data if self.framed is None else self.framed(data)

    def body(self, name: str) -> bytes:
        """The body of a whole answer."""
        return (self.folder / f"{name}.json").read_bytes()

    def read(self, data: bytes, size: int = 65536) -> list[Event]:
        """The events of a stream that arrives in pieces of this size."""
        reader = self.dialect.reader()
        return [event for piece in cut(data, size) for event in reader.feed(piece)] + list(reader.end())


def cut(data: bytes, size: int) -> list[bytes]:
    """The data in pieces of this size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def until_it_fails(
    feed: Callable[[bytes], Iterable[T]], pieces: Iterable[bytes], end: Callable[[], Iterable[T]]
) -> tuple[list[T], DirigentError]:
    """What came out before the error, and the error."""
    came: list[T] = []
    try:
        for piece in pieces:
            came += feed(piece)
        came += end()
    except DirigentError as error:
        return came, error
    raise AssertionError("it did not fail")
