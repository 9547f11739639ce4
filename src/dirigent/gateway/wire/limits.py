"""How much a caller may send, and how long it may take to do so."""

from __future__ import annotations

import msgspec

__all__ = ["Limits"]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The bounds of one connection: sizes in bytes, waits in seconds, each kept to within a quarter of a second."""

    target: int = 8 * 1024
    """The request target (path and query); a longer one is refused with 414."""
    head: int = 32 * 1024
    """All header fields of a request together; more is refused with 431."""
    fields: int = 100
    """Header fields of a request; more are refused with 431."""
    body: int = 32 * 1024 * 1024
    """The body of a request; a larger one is refused with 413, before it is read where its length is announced."""
    pipeline: int = 8
    """Requests that wait behind the running one before reading pauses; sixteen times as many end the connection."""
    connections: int = 10_000
    """Connections at once; the next one is closed unanswered."""
    head_wait: float = 10.0
    """From the connection, or the first byte of a request, to the end of its head."""
    body_wait: float = 30.0
    """The stretch in which a body has to grow by `body_pace` bytes per second."""
    body_pace: int = 512
    """Bytes per second that a body has to grow by."""
    idle_wait: float = 75.0
    """Between two requests of a connection."""
    write_wait: float = 120.0
    """For a caller that has stopped reading to go on; after it the connection is cut."""
    linger: float = 2.0
    """For a caller to read a refusal before the connection is cut."""
