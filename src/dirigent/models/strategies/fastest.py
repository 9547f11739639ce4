"""The shortest expected time first, and a little curiosity about those not measured yet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from dirigent.models.lots import drawn, in_drawn_order
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Fastest"]


_CLOSE = 1.2
"""Times as long as the fastest: within this, a warm prompt cache saves more than the difference."""


class Fastest(Strategy, frozen=True):
    """Ask the candidate first that is expected to be done soonest, by what this node measured lately.

    The whole answer counts: seconds to the first token, plus the expected output at the measured pace. A candidate that
    nobody has measured comes after those that were, save for a small share of requests that try one of them first.
    """

    at_once: ClassVar[bool] = True

    until: Literal["answer", "first_token"] = "answer"
    """What has to be soon: the end of the answer, or its first token."""
    explore: Annotated[float, Meta(ge=0, le=0.5)] = 0.05
    """Share of requests that first ask a candidate without any measurement, while there are such."""

    async def order(self, question: Question) -> Ranking:
        """Measured candidates by expected seconds, then the unmeasured in the order of the configuration."""
        seconds = {name: self._seconds(question, name) for name in question.candidates}
        known = {name: value for name, value in seconds.items() if value is not None}
        unknown = [name for name in question.candidates if name not in known]
        order = [*sorted(known, key=known.__getitem__), *unknown]
        details = {"seconds": {name: None if value is None else round(value, 3) for name, value in seconds.items()}}
        if not known:
            return Ranking(
                tuple(order), f"nothing was measured yet, so {order[0]} comes first as written", details=details
            )
        what = "its first token" if self.until == "first_token" else "the end of its answer"
        close = tuple(name for name in known if known[name] <= _CLOSE * known[order[0]])
        reason = f"{order[0]} is expected to need {known[order[0]]:.2f} s to {what}, the least of all measured"
        if unknown and drawn("explore", question.run.model, question.run.id) < self.explore:
            # The lot of the run decides, so that explaining a run again explains the same.
            first = in_drawn_order(dict.fromkeys(unknown, 1.0), question.run.id)[0]
            order = [first, *(name for name in order if name != first)]
            close = ()
            reason = f"{first} was never measured, and {self.explore:.0%} of requests go to find out"
        return Ranking(tuple(order), reason, details=details, close=close)

    def _seconds(self, question: Question, name: str) -> float | None:
        return question.run.ports.vitals.first_token(name) if self.until == "first_token" else question.latency(name)
