"""How a stream begins, and how it stays alive while nothing is said.

Until the first event nothing is promised to the caller, so that another candidate may still answer and an error has a
status of its own. But proxies and clients give a silent connection up: after some seconds the head is sent all the
same, with status 200 and a ping, and further pings follow. What goes wrong from then on is told in the stream.
"""

from __future__ import annotations

from time import time

from dirigent.core.messages import Request
from dirigent.dialects.dialect import Dialect, StreamWriter
from dirigent.gateway.call import Call

__all__ = ["begin", "ping", "writer_for"]

_STREAM = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))
_EVENTS = "text/event-stream"


def writer_for(call: Call, request: Request, dialect: Dialect) -> StreamWriter:
    """Who writes the answer to this call."""
    return dialect.writer(request, dialect.prefix + call.run_id, int(time()))


def begin(call: Call, request: Request, dialect: Dialect, writer: StreamWriter) -> None:
    """Sends the head of a stream, with all that is known by now."""
    call.status = 200
    call.broken_off = writer.fail
    call.exchange.start(200, [*call.headers(dialect.stream_type(request)), *_STREAM])


def ping(call: Call, request: Request, dialect: Dialect, writer: StreamWriter | None = None) -> None:
    """Says that somebody is still at work, in the head of the stream where none was sent; `writer` writes the rest."""
    if not dialect.stream_type(request).startswith(_EVENTS):
        return  # nothing can be said between two pieces of it
    if not call.exchange.started:
        begin(call, request, dialect, writer or writer_for(call, request, dialect))
    call.exchange.write(dialect.ping)
