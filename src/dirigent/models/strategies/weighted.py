"""Shares of the traffic, each caller staying where it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.registry import nearest
from dirigent.models.lots import in_drawn_order
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Weighted"]


class Weighted(Strategy, frozen=True):
    """Give each candidate its share of the traffic; whoever belongs together stays with one candidate.

    Shares are weights over the sum of the weights of all candidates that can take the request. Where a weight changes,
    only the callers whom the change moves are moved.
    """

    at_once: ClassVar[bool] = True

    weights: Mapping[str, Annotated[float, Meta(ge=0)]]
    """The weight of each candidate; one that is not named, or has weight 0, only stands in when the others fail."""
    together: Literal["subject", "conversation", "key", "request"] = "subject"
    """What stays at one candidate: all requests of a subject or business case (by their headers, else the request's
    `user`; a request that names none of them is drawn by itself), of one conversation (by how it began), of one virtual
    key, or nothing beyond the single request."""

    async def order(self, question: Question) -> Ranking:
        """The candidates in the order of the lots drawn for what belongs together."""
        what, key = self._key(question)
        weights = {name: self.weights.get(name, 0.0) for name in question.candidates}
        order = tuple(in_drawn_order(weights, question.run.model, key))
        whole = sum(weights.values())
        share = weights[order[0]] / whole if whole else 0.0
        reason = f"the lot of this {what} fell on {order[0]}, which has a share of {share:.1%}"
        if not whole:
            reason = f"no candidate that can take this request has a weight, so {order[0]} comes first as written"
        return Ranking(order, reason, details={"together": what, "weights": weights})

    def faults(self, candidates: Sequence[str]) -> Iterable[Finding]:
        """Weights of no candidate, and weights that are all zero."""
        for name in self.weights:
            if name not in candidates:
                yield Finding(("weights", name), f"{name!r} is no candidate of this router{nearest(name, candidates)}")
        if not any(self.weights.get(name, 0.0) > 0 for name in candidates):
            yield Finding(("weights",), "no candidate has a weight over 0, so no traffic could be shared out")

    def _key(self, question: Question) -> tuple[str, str]:
        run, request = question.run, question.request
        if self.together == "subject" and (subject := run.sticky or request.user):
            return "subject", subject
        if self.together == "conversation":
            # What a conversation began with stays, whatever is said later on.
            beginning = [text for _, text in zip(range(2), request.texts(), strict=False)]
            return "conversation", "\n".join(f"{role} {text}" for role, text in beginning[: _turns(beginning)])
        if self.together == "key":
            return "key", run.principal.key
        return "request", run.id


def _turns(beginning: Sequence[tuple[str, str]]) -> int:
    """How many of the first messages belong to the beginning: up to the first of the user."""
    return next((place for place, (role, _) in enumerate(beginning, 1) if role == "user"), len(beginning))
