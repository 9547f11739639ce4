"""A router's decision as data: what it saw, what it thought of each candidate, and why it chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from dirigent.core.usage import Money

__all__ = ["Considered", "Decision", "Grounds"]


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


class Grounds(NamedTuple):
    """What a decision rests on."""

    candidates: tuple[Considered, ...]
    features: Mapping[str, Any]
    details: Mapping[str, Any]


class Decision:
    """Why a router sends a request where it does. What it rests on is put into words when somebody reads it."""

    __slots__ = ("_grounds", "_tell", "chosen", "microseconds", "reason", "router", "strategy")

    def __init__(  # noqa: PLR0917  made once per request, and names cost time there
        self,
        router: str,
        strategy: str,
        reason: str,
        chosen: str | None,
        microseconds: float,
        tell: Callable[[], Grounds],
    ) -> None:
        self.router = router
        self.strategy = strategy
        self.reason = reason
        """One sentence for people: the rule that decided."""
        self.chosen = chosen
        self.microseconds = microseconds
        self._tell = tell
        self._grounds: Grounds | None = None

    @property
    def candidates(self) -> tuple[Considered, ...]:
        """What was thought of each."""
        return self._told().candidates

    @property
    def features(self) -> Mapping[str, Any]:
        """What was measured of the request; empty where the strategy looked at nothing."""
        return self._told().features

    @property
    def details(self) -> Mapping[str, Any]:
        """What the strategy adds: contributions, scores, the rules that were tried."""
        return self._told().details

    def amended(self, chosen: str | None, reason: str, **details: object) -> Decision:
        """The decision with what came of it."""

        def tell() -> Grounds:
            grounds = self._told()
            return grounds._replace(details={**grounds.details, **details}) if details else grounds

        return Decision(self.router, self.strategy, reason, chosen, self.microseconds, tell)

    def asdict(self) -> dict[str, Any]:
        """All of it."""
        grounds = self._told()
        return {
            "router": self.router,
            "strategy": self.strategy,
            "reason": self.reason,
            "chosen": self.chosen,
            "candidates": grounds.candidates,
            "features": grounds.features,
            "details": grounds.details,
            "microseconds": self.microseconds,
        }

    def _told(self) -> Grounds:
        if self._grounds is None:
            self._grounds = self._tell()
        return self._grounds
