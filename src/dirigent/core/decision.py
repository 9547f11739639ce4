"""A router's decision as data: what it saw, what it thought of each candidate, and why it chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dirigent.core.usage import Money

__all__ = ["Considered", "Decision"]


class Considered(msgspec.Struct, frozen=True):
    """What a decision thought of one candidate."""

    name: str
    verdict: str
    """`chosen`, `fallback 1`, `fallback 2` …, or `ruled out: ` and the reason."""
    quality: float | None = None
    """Predicted quality, 0 to 1; None where nothing is known."""
    cost: Money | None = None
    """Expected cost of this request; None where a price is unknown."""
    latency: float | None = None
    """Expected seconds to the end of the answer; None before anything was measured."""


class Decision(msgspec.Struct, frozen=True):
    """Why a router sends a request where it does."""

    router: str
    strategy: str
    reason: str
    """One sentence for people: the rule that decided."""
    chosen: str | None
    candidates: tuple[Considered, ...]
    features: Mapping[str, Any]
    """What was measured of the request; empty where the strategy looked at nothing."""
    details: Mapping[str, Any]
    """What the strategy adds: contributions, scores, the rules that were tried."""
    microseconds: float
