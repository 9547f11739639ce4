"""What the gateway and an annex's process say to each other.

A message is its length in bytes as u32, little-endian, and then that much msgpack. For each ask there come any number
of `Alive` and then one of the others.
"""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

__all__ = ["LENGTH", "Alive", "Done", "Failure", "Refused", "Word"]

LENGTH = struct.Struct("<I")


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A piece of the work is done, and more is to do."""


class Done(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What the work came to, in msgpack."""

    result: msgspec.Raw


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The ask itself is at fault; another candidate may be able to do it where it says `unsupported`."""

    words: str
    param: str
    why: Literal["invalid", "unsupported"] = "invalid"


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Why this process cannot do the work, through no fault of the ask."""

    words: str


Word = Alive | Done | Refused | Failure
