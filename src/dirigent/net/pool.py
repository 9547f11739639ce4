"""Connections that are waiting for their next request."""

from __future__ import annotations

from dirigent.core.ports import Origin
from dirigent.net.connection import Connection

__all__ = ["Pool"]


class Pool:
    """Idle connections per origin: the youngest is taken first, the old and the surplus are closed."""

    def __init__(self, count: int, age: float) -> None:
        self._count = count
        self._age = age
        self._idle: dict[Origin, list[Connection]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def take(self, origin: Origin) -> Connection | None:
        """A connection to `origin` that was open a moment ago; None where there is none."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return None

    def put(self, origin: Origin, connection: Connection) -> None:
        """Keeps `connection` for the next request, unless enough wait already."""
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = []
        if len(idle) >= self._count:
            connection.drop()
            return
        idle.append(connection)

    def forget(self, origin: Origin, connection: Connection) -> None:
        """Takes out a connection that the other end has closed."""
        idle = self._idle.get(origin)
        if idle and connection in idle:
            idle.remove(connection)

    def tidy(self, now: float) -> bool:
        """Closes what has waited too long; True while something still waits."""
        for origin, idle in tuple(self._idle.items()):
            young = [connection for connection in idle if now - connection.since < self._age]
            for connection in idle[: len(idle) - len(young)]:  # the oldest stand first
                connection.drop()
            if young:
                self._idle[origin] = young
            else:
                del self._idle[origin]
        return bool(self._idle)

    def clear(self) -> None:
        """Closes all."""
        for idle in self._idle.values():
            for connection in tuple(idle):
                connection.drop()
        self._idle.clear()
