"""What the gateway asks the encoder's process, and what that gives back."""

from __future__ import annotations

import msgspec

__all__ = ["Ask", "Vectors"]


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """Texts to encode, as queries or as passages."""

    query: bool
    texts: tuple[str, ...]


class Vectors(msgspec.Struct, frozen=True, array_like=True):
    """A vector for each text of the ask: floats of 32 bits, little-endian, unit length."""

    vectors: tuple[bytes, ...]
