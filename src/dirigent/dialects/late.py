"""Parts of a request that are read when somebody asks for them; it knows no wire format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar, overload

from dirigent.core.messages import Message

__all__ = ["Late", "LateMessages"]

T = TypeVar("T")


class Late(Sequence[T]):
    """A sequence that is turned into our own words when somebody looks into it; on the verbatim path nobody does."""

    __slots__ = ("_count", "_read", "_source")

    def __init__(self, read: Callable[[], Iterable[T]], count: int | None = None) -> None:
        """`count` says how many there will be, where that is known before they are read."""
        self._source = read
        self._count = count
        self._read: tuple[T, ...] | None = None

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all()) if self._count is None else self._count

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == tuple(other) if isinstance(other, tuple | list | Late) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> tuple[T, ...]:
        if self._read is None:
            self._read = tuple(self._source())
        return self._read


class LateMessages(Late[Message]):
    """The messages of a request, checked only when somebody reads them: the talk of an agent has hundreds of parts.

    Whoever reads them raises Invalid, with the field at fault, for what cannot be read.
    """
