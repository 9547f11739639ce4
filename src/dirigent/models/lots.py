"""Lots that fall the same way each time: what stands between chance and staying where one was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b

__all__ = ["drawn", "in_drawn_order"]


def drawn(*key: str) -> float:
    """A number over 0 and below 1 that looks like chance and depends on nothing but the key; on every node the same."""
    # Lengths part the pieces, so that ("ab", "c") and ("a", "bc") draw different lots.
    text = "".join(f"{len(piece)}:{piece}" for piece in key)
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 11) + 0.5) / 2**53


def in_drawn_order(weights: Mapping[str, float], *key: str) -> list[str]:
    """The names in an order drawn for the key: over many keys each stands first as often as its share of all weights.

    Weighted rendezvous: where one weight changes, only keys that move to or from that name move. A name without weight
    stands behind all that have some, in the order given.
    """

    def lot(name: str) -> tuple[bool, float]:
        weight = weights[name]
        # The lot of the smallest weights is minus infinity, and they stand before none all the same.
        return weight > 0, math.log(drawn(*key, name)) / weight if weight > 0 else -math.inf

    return sorted(weights, key=lot, reverse=True)
