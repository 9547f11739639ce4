"""The other side of an annex: reads asks, has them worked on, and writes what came of them, until its parent ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import BinaryIO, TypeVar

import msgspec

from dirigent.annex.message import LENGTH, Alive, Done, Failure, Refused, Word
from dirigent.annex.tether import end_with, step_back
from dirigent.core.errors import Invalid, Unavailable, Unsupported

__all__ = ["Breathe", "inhabit"]

Breathe = Callable[[], None]
"""To be called after each piece of a long work, so that nobody takes it for hung."""
_NICENESS = 5

Ask = TypeVar("Ask")


def inhabit(ask: type[Ask], work: Callable[[Ask, Breathe], msgspec.Struct], *, niceness: int = _NICENESS) -> None:
    """Answers every ask on the standard input with what `work` makes of it. Is the whole life of the process."""
    end_with(int(sys.argv[1]))
    step_back(niceness)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever native code may print goes to the log, not between two messages
    _serve(sys.stdin.buffer, answers, msgspec.msgpack.Decoder(ask), work)


def _serve(
    source: BinaryIO,
    sink: BinaryIO,
    decoder: msgspec.msgpack.Decoder[Ask],
    work: Callable[[Ask, Breathe], msgspec.Struct],
) -> None:
    def say(word: Word) -> None:
        body = msgspec.msgpack.encode(word)
        sink.write(LENGTH.pack(len(body)) + body)
        sink.flush()

    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        ask = decoder.decode(source.read(LENGTH.unpack(head)[0]))
        try:
            say(Done(msgspec.Raw(msgspec.msgpack.encode(work(ask, lambda: say(Alive()))))))
        except Unsupported as fault:
            say(Refused(fault.message, fault.param or "", "unsupported"))
        except Invalid as fault:
            say(Refused(fault.message, fault.param or ""))
        except Unavailable as fault:
            say(Failure(fault.message))
        except Exception as fault:  # noqa: BLE001 - whatever the engine raises belongs to this one ask
            say(Failure(f"{type(fault).__name__}: {fault}"))
