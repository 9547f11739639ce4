"""What a generation of Google's models takes and refuses, by the name of the deployment.

The models of the past are a closed list, so they are told by their numbers; whatever is newer speaks as the latest do.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

__all__ = ["Generation", "generation_of"]

_NUMBER = re.compile(r"gemini-(\d+)(?:\.(\d+))?")


class Generation(msgspec.Struct, frozen=True):
    """What models of one age take."""

    thinking: Literal["none", "budget", "level"] = "level"
    """Whether thought is measured out in tokens, in levels, or not to be asked for."""
    least_budget: int = 0
    """The fewest tokens of thought that it can be held to."""
    least_level: str = "minimal"
    seals_calls: bool = True
    """Whether it refuses calls of the past that bear no seal."""
    formats_beside_tools: bool = True
    """Whether it takes a structure for the answer where it has tools as well."""
    pictures_from_tools: bool = True
    """Whether the result of a tool may hold more than text."""


_LATEST = Generation()
_PAST = Generation("none", seals_calls=False, formats_beside_tools=False, pictures_from_tools=False)
_OTHERS = Generation("none", seals_calls=False)


@lru_cache(maxsize=256)
def generation_of(deployment: str) -> Generation:
    """The generation to which the deployment of this name belongs."""
    if "gemini" not in deployment:
        return _OTHERS
    number = _NUMBER.search(deployment)
    slow = "pro" in deployment
    if number is None or int(number[1]) >= 3:
        return Generation(least_level="low") if slow else _LATEST
    if (int(number[1]), int(number[2] or 0)) < (2, 5):
        return _PAST
    least = 128 if slow else 0  # it cannot be told not to think
    return Generation("budget", least, seals_calls=False, formats_beside_tools=False, pictures_from_tools=False)
