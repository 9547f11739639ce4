"""One row of the table: all that is published about one vendor's deployment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import msgspec

from dirigent.core.ports import Listing

__all__ = ["Entry", "Package", "Provenance"]


class Entry(Listing, frozen=True, omit_defaults=True):
    """A listing and what the port has no word for. Nothing is zero but the price of a model on one's own machine."""

    features: frozenset[str] = frozenset()
    """Abilities beyond the port's: `audio_output`, `caching`, `image_output`, `parallel_tools`, `streaming` …"""
    lacks: frozenset[str] = frozenset()
    """Capabilities and features that the source denies; what stands in neither set is not known."""
    rates: Mapping[str, Decimal] = msgspec.field(default_factory=dict)
    """What is charged by another measure than the price's tokens: by name, in USD per million of it."""


class Package(msgspec.Struct, frozen=True):
    """A package that the table is made from."""

    package: str
    version: str
    sha256: str
    file: str
    licence: str


class Provenance(msgspec.Struct, frozen=True):
    """Where the table comes from: the first row of it."""

    as_of: date
    """The day for which dated prices were read."""
    sources: tuple[Package, ...]
    """The source of the figures first, then the one that they are checked against."""
    entries: int
    disputed: int
