"""What a generation of Anthropic's models takes and refuses, by the name of the deployment.

The models of the past are a closed list, so they are named here; whatever is newer is taken to speak as the latest do.
What is no Claude at all is another server that speaks this dialect, and takes everything that it does not know.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

__all__ = ["BUDGETS", "Generation", "generation_of"]

BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_000, "max": 64_000}
"""Tokens of thought for an effort, for models that count their thoughts in tokens."""

_FOURTH = re.compile(r"claude-(?:opus|sonnet|haiku)-4(?:[-.]([0-9]))?(?![0-9])")
_EARLIER = re.compile(r"claude-(?:instant|[1-3]|v[12])")


class Generation(msgspec.Struct, frozen=True):
    """What models of one age take."""

    thinking: Literal["budget", "adaptive"] = "budget"
    """Whether thought is measured out in tokens, or left to the model, which takes an effort."""
    efforts: tuple[str, ...] = ()
    """The efforts that it knows, where thought is left to it."""
    samples: bool = True
    """Whether it takes `temperature`, `top_p` and `top_k`."""
    samples_both: bool = True
    """Whether it takes `temperature` and `top_p` together."""
    formats: bool = True
    """Whether it takes `output_config.format` and strict tools."""


_OTHERS = Generation()
_FIRST = Generation(formats=False)
_SIXTH = Generation("adaptive", ("low", "medium", "high"), samples_both=False)
_LATEST = Generation("adaptive", ("low", "medium", "high", "xhigh", "max"), samples=False, samples_both=False)


@lru_cache(maxsize=256)
def generation_of(deployment: str) -> Generation:
    """The generation to which the deployment of this name belongs."""
    if "claude" not in deployment:
        return _OTHERS
    if _EARLIER.search(deployment):
        return _FIRST
    fourth = _FOURTH.search(deployment)
    if fourth is None:
        return _LATEST
    minor = int(fourth[1] or 0)
    if minor >= 7:
        return _LATEST
    return _SIXTH if minor == 6 else Generation(samples_both=minor == 0, formats=minor >= 5)
