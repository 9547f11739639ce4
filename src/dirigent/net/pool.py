"""Connections that are waiting for their next request."""

from __future__ import annotations

from dirigent.core.ports import Origin
from dirigent.net.connection import Connection, Known

__all__ = ["Pool", "Stack"]


class Stack:
    """Idle connections to one origin: the youngest is taken first."""

    __slots__ = ("_count", "idle", "known")

    def __init__(self, count: int) -> None:
        self._count = count
        self.idle: list[Connection] = []
        self.known = Known()

    def take(self) -> Connection | None:
        """A connection that was open a moment ago; None where there is none."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return None

    def put(self, connection: Connection) -> None:
        """Keeps `connection` for the next request, unless enough wait already."""
        if len(self.idle) >= self._count:
            connection.drop()
        else:
            self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """Takes out a connection that the other end has closed."""
        if connection in self.idle:
            self.idle.remove(connection)


class Pool:
    """The idle connections of all origins; the old and the surplus are closed."""

    def __init__(self, count: int, age: float) -> None:
        self._count = count
        self._age = age
        self._stacks: dict[Origin, Stack] = {}

    def __len__(self) -> int:
        return sum(len(stack.idle) for stack in self._stacks.values())

    def stack(self, origin: Origin) -> Stack:
        """Where connections to `origin` wait; it stays the same as long as the pool."""
        stack = self._stacks.get(origin)
        if stack is None:
            stack = self._stacks[origin] = Stack(self._count)
        return stack

    def tidy(self, now: float) -> bool:
        """Closes what has waited too long; True while something still waits."""
        for stack in self._stacks.values():
            young = [connection for connection in stack.idle if now - connection.since < self._age]
            for connection in stack.idle[: len(stack.idle) - len(young)]:  # the oldest stand first
                connection.drop()
            stack.idle[:] = young
        return any(stack.idle for stack in self._stacks.values())

    def clear(self) -> None:
        """Closes all."""
        for stack in self._stacks.values():
            for connection in tuple(stack.idle):
                connection.drop()
            stack.idle.clear()
