"""What the gateway and the encoder's process say to each other."""

from __future__ import annotations

import msgspec

__all__ = ["Ask", "Failure", "Vectors"]


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """Texts to encode, as queries or as passages."""

    query: bool
    texts: tuple[str, ...]


class Vectors(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A vector for each text of the ask: floats of 32 bits, little-endian, unit length."""

    vectors: tuple[bytes, ...]


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Why a text could not be encoded."""

    words: str
