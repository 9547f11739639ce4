"""A network in memory: an event loop that never opens a socket, and wires whose other end a test holds in its hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["Memory", "Wire"]

_HIGH = 64 * 1024

Factory = Callable[[], asyncio.BaseProtocol]


class Wire(asyncio.Transport):
    """One connection as the protocol under test sees it; the test says what arrives on it and reads what was sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, peer: str = "memory") -> None:
        super().__init__({"peername": (peer, 1), "sockname": ("memory", 2)})
        self._loop = loop
        self._protocol = protocol
        self._inbox: list[bytes] = []
        self._paused = self._finished = self._held = self._congested = False
        self._unsent = 0
        self._closing = self._gone = False
        self.over = False
        """True once the protocol has been told that the connection is lost."""
        self.sent = bytearray()
        """All that the protocol has written."""
        self.on_sent: Callable[[], None] | None = None
        """Called soon after each write."""
        self.on_over: Callable[[], None] | None = None
        """Called when the connection is lost."""
        protocol.connection_made(self)

    # --- the test's end -----------------------------------------------------------------------------------------------

    @property
    def drained(self) -> bool:
        """True where the protocol has taken all that was fed."""
        return not self._inbox

    def feed(self, data: bytes) -> None:
        """Lets `data` arrive, or wait until the protocol reads again."""
        if self._closing or not data:
            return
        if self._paused or self._inbox:
            self._inbox.append(data)
            return
        self._deliver(data)

    def end(self) -> None:
        """The other end has finished sending."""
        if self._closing:
            return
        if not (
            isinstance(self._protocol, asyncio.Protocol | asyncio.BufferedProtocol) and self._protocol.eof_received()
        ):
            self.close()

    def cut(self, cause: Exception | None = None) -> None:
        """The connection is gone at once."""
        if not self._closing:
            self._lose(cause)

    def hold(self) -> None:
        """The other end stops reading."""
        self._held = True

    def release(self) -> None:
        """The other end has read everything."""
        self._held = False
        self._unsent = 0
        if self._congested:
            self._congested = False
            self._protocol.resume_writing()
        if self._closing and not self.over:
            self._loop.call_soon(self._lost, None)

    # --- the protocol's end -------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._finished:
            raise RuntimeError("nothing can be written after write_eof")
        if self._gone or not data:  # between close and the end a loop may still write, as uvloop does
            return
        self.sent += data
        if self._held:
            self._unsent += len(data)
            if self._unsent > _HIGH and not self._congested:
                self._congested = True
                self._protocol.pause_writing()
        if self.on_sent is not None:
            self._loop.call_soon(self.on_sent)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._finished = True

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._catch_up)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._unsent:
                self._loop.call_soon(self._lost, None)

    def abort(self) -> None:
        self._lose(None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    # ------------------------------------------------------------------------------------------------------------------

    def _deliver(self, data: bytes) -> None:
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            while data:
                room = protocol.get_buffer(len(data))
                size = min(len(room), len(data))  # type: ignore[arg-type]
                memoryview(room)[:size] = data[:size]
                protocol.buffer_updated(size)
                data = data[size:]
        elif isinstance(protocol, asyncio.Protocol):
            protocol.data_received(data)

    def _catch_up(self) -> None:
        while self._inbox and not self._paused and not self._closing:
            self._deliver(self._inbox.pop(0))

    def _lose(self, cause: Exception | None) -> None:
        self._closing = self._gone = True
        self._loop.call_soon(self._lost, cause)

    def _lost(self, cause: Exception | None) -> None:
        if not self.over:
            self.over = self._gone = True
            self._inbox.clear()
            self._protocol.connection_lost(cause)
            if self.on_over is not None:
                self.on_over()


class _Address:
    def __init__(self, port: int) -> None:
        self._port = port

    def getsockname(self) -> tuple[str, int]:
        return "memory", self._port


class _Listener:
    def __init__(self, port: int, listeners: dict[int, Factory]) -> None:
        self._port = port
        self._listeners = listeners
        self.sockets = [_Address(port)]

    def close(self) -> None:
        self._listeners.pop(self._port, None)

    async def wait_closed(self) -> None:
        pass


class Memory(asyncio.SelectorEventLoop):
    """An event loop whose network is in memory: who listens is called by `call`, who connects reaches `reached`."""

    def __init__(self) -> None:
        super().__init__()
        self._listening: dict[int, Factory] = {}
        self.reached: Callable[[Wire], None] = lambda wire: wire.cut(ConnectionRefusedError())
        """Hears of each connection that is opened."""
        self.faults: list[str] = []
        """What would have been printed as an exception that nobody caught."""
        self.set_exception_handler(lambda _loop, context: self.faults.append(f"{context!r}"))

    def call(self, port: int, peer: str) -> Wire:
        """A connection of a caller named `peer` to who listens on `port`."""
        return Wire(self, self._listening[port](), peer)

    async def create_server(self, protocol_factory: Factory, *_: Any, **__: Any) -> Any:
        port = len(self._listening) + 1
        self._listening[port] = protocol_factory
        return _Listener(port, self._listening)

    async def create_connection(self, protocol_factory: Factory, *_: Any, **__: Any) -> Any:
        protocol = protocol_factory()
        wire = Wire(self, protocol)
        self.reached(wire)
        return wire, protocol
