"""What a task waits for, made so that the task goes on in the very call that brings the news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context

__all__ = ["News"]


class News:
    """An awaitable that any number of tells in a row end once, each time that one task awaits it.

    A future wakes its task in the loop's next turn. For a stream that forwards each piece, this turn (and the poll that
    goes with it) costs as much as the piece itself. So this is a future of its own kind, by the protocol that asyncio's
    tasks have for foreign futures: `tell` runs the waiting task up to its next wait before it returns.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_context", "_loop", "_wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._wake: Callable[[News], object] | None = None
        self._context: Context | None = None
        self._cancelled = False

    def tell(self) -> None:
        """Lets the waiting task go on now. Only for callbacks of the loop: a task cannot run within another one."""
        wake, context = self._wake, self._context
        if wake is not None and context is not None:
            self._wake = None
            context.run(wake, self)

    def tell_soon(self) -> None:
        """Lets the waiting task go on in the loop's next turn."""
        wake = self._wake
        if wake is not None:
            self._wake = None
            self._loop.call_soon(wake, self, context=self._context)

    def __await__(self) -> Generator[News, None, None]:
        self._cancelled = False
        self._asyncio_future_blocking = True
        yield self

    # --- called by the task that waits --------------------------------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, wake: Callable[[News], object], *, context: Context) -> None:
        self._wake = wake
        self._context = context

    def cancel(self, msg: object = None) -> bool:
        if self._wake is None:
            return False
        self._cancelled = True
        self.tell_soon()
        return True

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError
