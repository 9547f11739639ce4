"""What the families of models at Bedrock take beyond its common words, by the name of the deployment."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

__all__ = ["BUDGETS", "Family", "family_of"]

BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_000}
"""Tokens of thought for an effort, for models that count their thoughts in tokens."""

_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d)(?!\d))?")


class Family(msgspec.Struct, frozen=True):
    """What models of one kind take."""

    thinking: Literal["none", "budget", "adaptive", "nova", "effort"] = "none"
    """How thought is asked for: in tokens, left to the model with an effort, as Nova or as gpt-oss take it."""
    samples: bool = True
    """Whether it takes `temperature` and `topP`."""
    samples_both: bool = True
    """Whether it takes them together."""
    top_k: bool = False
    """Whether it takes `top_k` among the further fields."""
    caches: bool = False
    """Whether it takes cache points in what is said."""
    caches_tools: bool = False
    blank_stops: bool = True
    """Whether it takes stop sequences of blanks alone."""
    names_stop: bool = False
    """Whether it says, where it is asked to, which stop sequence ended its answer."""


_OTHERS = Family()


@lru_cache(maxsize=256)
def family_of(deployment: str) -> Family:
    """The family to which the deployment of this name belongs."""
    if "claude" in deployment:
        return _claude(deployment)
    if "amazon.nova" in deployment or "nova-2" in deployment:
        return Family("nova" if "nova-2" in deployment else "none", caches=True)
    return Family("effort") if "gpt-oss" in deployment else _OTHERS


def _claude(deployment: str) -> Family:
    """The models of the past are a closed list; whatever is newer is taken to speak as the latest do."""
    return msgspec.structs.replace(_of_age(deployment), blank_stops=False, names_stop=True)


def _of_age(deployment: str) -> Family:
    found = _CLAUDE.search(deployment)
    age = (int(found[1]), int(found[2] or 0)) if found is not None else (99, 0)
    if age < (3, 7):
        caches = age == (3, 5)
        return Family(top_k=True, caches=caches, caches_tools=caches)
    if age < (4, 6):
        return Family("budget", samples_both=age <= (4, 0), top_k=True, caches=True, caches_tools=True)
    samples = age == (4, 6)
    return Family("adaptive", samples, samples_both=False, top_k=samples, caches=True, caches_tools=True)
