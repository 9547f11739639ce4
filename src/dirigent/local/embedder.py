"""The local embeddings as the data plane sees them: the port `Embedder`, over the static table and the encoder."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

from dirigent.core.errors import TimedOut
from dirigent.core.subjects import Reading, Tier
from dirigent.local.encoder import Encoder, Side, encoder_command
from dirigent.local.static_table import DATA, StaticTable, excerpt
from dirigent.local.subject_heads import Heads, read_trained

__all__ = ["LocalEmbedder", "LocalSubjectReader"]

_KEPT_READERS = 64
_HEAD, _TAIL = 320, 160
"""Characters that the encoder reads of a text: about a hundred tokens, some tenths of a second on one core."""


class LocalEmbedder:
    """Embeddings on this machine. Nothing is read or started before it is needed."""

    def __init__(self, encoder: Encoder | None = None, data: Path = DATA) -> None:
        self.encoder = Encoder(encoder_command()) if encoder is None else encoder
        self._data = data
        self._readers: dict[tuple[tuple[str, tuple[str, ...]], ...], LocalSubjectReader] = {}
        self.heads = cache(lambda tier: Heads(read_trained(data / f"subjects_{tier}.msgpack")))
        """The built-in subjects of a tier."""

    @cached_property
    def table(self) -> StaticTable:
        """The word table, mapped at its first use."""
        return StaticTable(self._data / "static_table.bin")

    def vector(self, text: str) -> Sequence[float]:
        """The static vector of a text, within microseconds; all zeros where no word is known."""
        return self.table.vector(text)

    async def encode(self, texts: Sequence[str], side: Side = "query", scope: str = "") -> Sequence[array[float]]:
        """The encoder's vectors, unit length, remembered within `scope`. Raises Unavailable."""
        return await self.encoder.encode(texts, side, scope=scope)

    def subjects(self, examples: Mapping[str, Sequence[str]]) -> LocalSubjectReader:
        """Who reads the built-in subjects and those of `examples`; the same object for the same examples."""
        key = tuple((name, tuple(texts)) for name, texts in examples.items())
        reader = self._readers.get(key)
        if reader is None:
            if len(self._readers) >= _KEPT_READERS:  # configurations come and go with every publish
                self._readers.pop(next(iter(self._readers)))
            reader = self._readers[key] = LocalSubjectReader(self, dict(key))
        return reader

    async def close(self) -> None:
        """Ends the encoder's process."""
        await self.encoder.close()


class LocalSubjectReader:
    """Reads subjects in two tiers."""

    def __init__(self, embedder: LocalEmbedder, examples: Mapping[str, Sequence[str]]) -> None:
        self._embedder = embedder
        self._examples = examples
        self._learning: asyncio.Task[Heads] | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The names of all subjects that a reading can have."""
        return tuple(self._static.names)

    def read(self, text: str) -> Reading:
        """What the static table says."""
        return _reading(self._static, self._embedder.table.vector(text), "static")

    async def reread(self, text: str, patience: float, scope: str = "") -> Reading:
        """What the encoder says. Raises Unavailable, and TimedOut where that takes longer than `patience` seconds.

        The examples of an operator are encoded at the first question, which may well run out of patience; the work goes
        on, and the next question finds it done.
        """
        try:
            async with asyncio.timeout(patience):
                heads = await self._encoder_heads()
                vectors = await self._embedder.encode([excerpt(text, _HEAD, _TAIL)], "query", scope)
        except TimeoutError:
            raise TimedOut(f"the encoder did not answer within {patience * 1000:.0f} ms") from None
        return _reading(heads, vectors[0], "encoder")

    @cached_property
    def _static(self) -> Heads:
        heads, table = self._embedder.heads("static"), self._embedder.table
        vectors = {name: [table.vector(text) for text in texts] for name, texts in self._examples.items()}
        return heads.with_examples(vectors) if vectors else heads

    async def _encoder_heads(self) -> Heads:
        if not self._examples:
            return self._embedder.heads("encoder")
        failed = self._learning is not None and self._learning.done() and self._learning.exception() is not None
        if self._learning is None or failed:
            self._learning = asyncio.create_task(self._learn())
        return await asyncio.shield(self._learning)

    async def _learn(self) -> Heads:
        vectors = {name: await self._embedder.encode(texts) for name, texts in self._examples.items()}
        return self._embedder.heads("encoder").with_examples(vectors)


def _reading(heads: Heads, vector: Sequence[float], tier: Tier) -> Reading:
    scores = heads.probabilities(vector)
    subject, certainty = next(iter(scores.items()))
    return Reading(subject, certainty, scores, tier)
