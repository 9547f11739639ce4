"""How demanding a request looks, as a sum that anybody can follow; the more demanding, the stronger the candidate."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.registry import nearest
from dirigent.models.features import Features
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Complexity", "Weights", "score_of"]

_FULL: Final = {
    "words": 200.0,
    "specialist_terms": 6.0,
    "code": 0.5,
    "maths": 1.0,
    "numbers": 15.0,
    "tasks": 3.0,
    "requirements": 6.0,
    "context_tokens": 8_000.0,
    "turns": 12.0,
    "tools": 6.0,
    "wants_json": 1.0,
    "images": 2.0,
}
"""The value at which a feature contributes its whole weight; below it, the contribution grows in proportion.

In the order of Demands and of Weights, by which they are put together.
"""

_TOP: Final = 0.4
"""Scores of this much and more are for the strongest tier in any case; the tiers share out what lies below evenly."""

Weight = Annotated[float, Meta(ge=-1, le=1)]
_demands: Final = attrgetter(*_FULL)
"""What of all features makes a request demanding."""


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What each feature adds to the score at most."""

    words: Weight = 0.30
    """Words of the prompt, whole at 200."""
    specialist_terms: Weight = 0.20
    """Different specialist terms, whole at 6."""
    code: Weight = 0.30
    """Share of program text, whole at one half."""
    maths: Weight = 0.30
    """Share of mathematics."""
    numbers: Weight = 0.10
    """Numbers, whole at 15."""
    tasks: Weight = 0.35
    """Verbs that ask for thought, whole at 3."""
    requirements: Weight = 0.20
    """Demands on the answer, whole at 6."""
    context_tokens: Weight = 0.20
    """Tokens of the whole conversation, whole at 8,000."""
    turns: Weight = 0.05
    """Messages of the user, whole at 12."""
    tools: Weight = 0.20
    """Tools offered, whole at 6."""
    wants_json: Weight = 0.05
    """A structure that the answer must have."""
    images: Weight = 0.10
    """Pictures, whole at 2."""


class Complexity(Strategy, frozen=True):
    """Score how demanding the request looks, from 0 to 1, and send it to the tier for that score.

    The score is a sum: each feature contributes its weight times how full it is, so every decision can be followed by
    hand. Candidates are tiers from weak to strong in the order in which they are written, unless `tiers` are named. A
    tier without a candidate that can take the request passes it up, the highest down. It tells demanding looks, not
    whether a model will be right: on public benchmarks it is a weak predictor of that, as `docs/complexity.md` says.
    """

    at_once: ClassVar[bool] = True

    tiers: tuple[tuple[str, ...], ...] = ()
    """The candidates in tiers from weak to strong; without it each candidate is a tier."""
    thresholds: tuple[Annotated[float, Meta(ge=0, le=1)], ...] = ()
    """Ascending scores from which the second, third … tier is used; without it n tiers part at 0.4/n, 2·0.4/n, …"""
    weights: Weights = Weights()
    """What each feature contributes at most."""

    async def order(self, question: Question) -> Ranking:
        """The tier of the score first, then the stronger ones, then the weaker ones from strong to weak."""
        contributions = _contributions(question.measuring.demands(), self.weights)
        score = _bounded(contributions)
        tiers: Sequence[Sequence[str]]
        if not self.tiers and question.candidates == question.configured:
            tiers = [(name,) for name in question.candidates]
        else:
            tiers = self._tiers(question)
        thresholds = self.thresholds or _shared_out(len(tiers))
        place = bisect_right(thresholds, score)
        order = tuple([name for tier in (*tiers[place:], *reversed(tiers[:place])) for name in tier])

        def tell() -> Mapping[str, Any]:
            return {
                "score": round(score, 3),
                "thresholds": [round(threshold, 3) for threshold in thresholds],
                "tier": place + 1,
                "contributions": {name: round(value, 3) for name, value in contributions.items() if value},
            }

        return Ranking(order, _reason(order[0], score, place, len(tiers), contributions), tell=tell)

    def faults(self, candidates: Sequence[str]) -> Iterable[Finding]:
        """Tiers and thresholds that do not fit the candidates or each other."""
        named = [name for tier in self.tiers for name in tier]
        for place, tier in enumerate(self.tiers):
            for name in tier:
                if name not in candidates:
                    message = f"{name!r} is no candidate of this router{nearest(name, candidates)}"
                    yield Finding(("tiers", place), message)
                elif named.count(name) > 1:
                    yield Finding(("tiers", place), f"{name!r} stands in several tiers or twice in one")
        if missing := [name for name in candidates if self.tiers and name not in named]:
            yield Finding(("tiers",), f"no tier holds {', '.join(missing)}")
        between, given = len(self.tiers or candidates) - 1, len(self.thresholds)
        if given not in (0, between):
            message = f"between {between + 1} tiers stand {between} thresholds, not {given}"
            yield Finding(("thresholds",), message)
        if list(self.thresholds) != sorted(set(self.thresholds)):
            yield Finding(("thresholds",), "thresholds must ascend")

    def _tiers(self, question: Question) -> list[list[str]]:
        """The tiers with those candidates alone that can take the request; an empty tier keeps its place."""
        tiers = self.tiers or tuple((name,) for name in question.configured)
        able = [[name for name in tier if name in question.candidates] for tier in tiers]
        # Publishing makes sure that every candidate has a tier; whoever slips through is not lost.
        if sum(map(len, able)) < len(question.candidates):
            able[-1] += [name for name in question.candidates if not any(name in tier for tier in able)]
        return able


def score_of(features: Features, weights: Weights) -> float:
    """How demanding a request of these features looks, from 0 to 1."""
    return _bounded(_contributions(_demands(features), weights))


@cache
def _shared_out(tiers: int) -> tuple[float, ...]:
    return tuple(_TOP * place / tiers for place in range(1, tiers))


def _bounded(contributions: dict[str, float]) -> float:
    return min(1.0, max(0.0, sum(contributions.values())))


def _contributions(demands: Iterable[float], weights: Weights) -> dict[str, float]:
    """What each feature that is there adds to the score."""
    found: dict[str, float] = {}
    for (name, full), weight, value in zip(_FULL.items(), msgspec.structs.astuple(weights), demands, strict=True):
        if value:
            found[name] = weight * (value / full if value < full else 1.0)
    return found


def _reason(first: str, score: float, place: int, tiers: int, contributions: dict[str, float]) -> str:
    most = sorted((name for name, value in contributions.items() if value > 0.005), key=contributions.__getitem__)
    why = f" by {', '.join(name.replace('_', ' ') for name in reversed(most[-3:]))}" if most else ""
    return f"complexity {score:.2f}{why}: tier {place + 1} of {tiers}, {first} first"
