"""What providers of chat completions take beyond what OpenAI has written down."""

from __future__ import annotations

import msgspec

__all__ = ["Takes"]


class Takes(msgspec.Struct, frozen=True):
    """What a provider takes beyond OpenAI's own fields."""

    cache_marks: bool = False
    seals: bool = False
    file_addresses: bool = False
    pictures_from_tools: bool = False
    stored_pictures: bool = False
    """Whether a picture may lie in Amazon's storage, which only some can read."""
    unknown_fields: bool = False
    """Whether fields of messages that nobody here knows go to it, for who sent them knows what it takes."""
