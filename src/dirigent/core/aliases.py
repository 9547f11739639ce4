"""Aliases: stable names that point at revisions of a model, all requests at one or a share of them at another."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from dirigent.core.errors import Invalid

__all__ = ["WHOLE", "Alias", "Share"]

WHOLE = 1_000
"""All requests, in the thousandths that shares are counted in."""


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One revision and the thousandths of all requests that it answers."""

    revision: str | None
    """None for the model as it stands, whichever revision that is."""
    share: Annotated[int, msgspec.Meta(ge=0, le=WHOLE)]


class Alias(msgspec.Struct, frozen=True):
    """A name, the model that it stands for, and which revisions of it answer how much."""

    name: str
    model: str
    shares: tuple[Share, ...]

    def __post_init__(self) -> None:
        if sum(share.share for share in self.shares) != WHOLE:
            raise Invalid(f"shares: those of {self.name!r} do not add up to {WHOLE} thousandths", param="shares")
        if len({share.revision for share in self.shares}) != len(self.shares):
            raise Invalid(f"shares: {self.name!r} names a revision twice", param="shares")

    def chosen(self, unit: str) -> str | None:
        """The revision that answers this unit, such as a conversation or a key: the same as long as shares stand.

        The first share keeps its units while it grows: whoever has met the canary goes on meeting it.
        """
        mark = hashlib.sha256(f"{self.name}\n{unit}".encode()).digest()
        place = int.from_bytes(mark[:8], "big") * WHOLE >> 64
        for share in self.shares:
            if place < share.share:
                return share.revision
            place -= share.share
        return self.shares[-1].revision
