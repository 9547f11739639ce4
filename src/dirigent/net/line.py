"""What an exchange needs of the connection that carries it, and what is said when its time is over."""

from __future__ import annotations

from typing import Protocol

from dirigent.core.errors import TimedOut
from dirigent.core.ports import Timeouts

__all__ = ["Line", "overdue"]


class Line(Protocol):
    """A connection, as the exchange on it sees it."""

    def drop(self) -> None:
        """Cuts it at once."""
        ...

    def pause(self) -> None:
        """Reads no more for now."""
        ...

    def resume(self) -> None:
        """Reads on."""
        ...


def overdue(peer: str, waits: Timeouts, *, whole: bool, begun: bool) -> TimedOut:
    """Which wait is over: the `whole` time, else that for the head, or once that had `begun`, for the next piece."""
    if whole:
        return TimedOut(f"the answer of {peer} was not complete within {waits.total:g} s")
    if begun:
        return TimedOut(f"{peer} fell silent in the middle of its answer for {waits.idle:g} s")
    return TimedOut(f"{peer} did not begin to answer within {waits.first_byte:g} s")
