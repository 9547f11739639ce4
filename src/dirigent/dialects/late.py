"""Messages that are read when somebody asks for them; it knows no wire format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from dirigent.core.messages import Message

__all__ = ["LateMessages"]


class LateMessages(Sequence[Message]):
    """The messages of a request, turned into our own words when somebody reads them, and checked only then.

    On the verbatim path nobody does, and the talk of an agent has hundreds of parts.
    """

    def __init__(self, read: Callable[[], Iterable[Message]]) -> None:
        """`read` raises Invalid, with the field at fault, for what cannot be read."""
        self._source = read
        self._read: tuple[Message, ...] | None = None

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...

    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Message]:
        return iter(self._all())

    def _all(self) -> tuple[Message, ...]:
        if self._read is None:
            self._read = tuple(self._source())
        return self._read
