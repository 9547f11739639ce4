"""One way to write plain data down, so that what is equal has equal bytes, one digest and one name.

Keys are sorted, there is no blank, and decimal numbers keep every digit that they were written with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

__all__ = ["canonical", "digest", "plain", "revision_of", "stored"]

_LETTERS = 12


def canonical(value: object) -> bytes:
    """The one form of a value. Raises TypeError where it is no plain data."""
    return _IN_WORDS.encode(value)


def digest(value: object) -> str:
    """The SHA-256 of the one form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def revision_of(document: Mapping[str, Any]) -> str:
    """The name of a configuration: the first 12 hex digits of its digest, wherever its numbers were read from."""
    return digest(plain(stored(document)))[:_LETTERS]


def stored(document: Mapping[str, Any]) -> bytes:
    """The document as JSON that `plain` reads back without a loss."""
    return _IN_FIGURES.encode(document)


def plain(document: bytes) -> dict[str, Any]:
    """A document from JSON; decimal numbers are exact, as they are in one that was read from a file.

    Raises ValueError where it is no JSON object.
    """
    try:
        return _READER.decode(document)
    except msgspec.DecodeError as fault:
        raise ValueError(f"the document is no JSON object: {fault}") from None


def _refused(value: object) -> object:
    raise TypeError(f"{type(value).__name__} does not belong in a configuration")


_IN_WORDS = msgspec.json.Encoder(order="sorted", decimal_format="string", enc_hook=_refused)
_IN_FIGURES = msgspec.json.Encoder(order="sorted", decimal_format="number", enc_hook=_refused)
_READER = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
