"""What a ledger's log says in JSON, seldom enough: whose part it is, and what the numbers in it stand for."""

from __future__ import annotations

import msgspec

__all__ = ["Header", "Opened"]


class Header(msgspec.Struct, array_like=True):
    """The first line of each part."""

    holder: str
    boot: str
    version: int = 1


class Opened(msgspec.Struct, array_like=True):
    """From here on `index` stands for this window."""

    index: int
    window: str
