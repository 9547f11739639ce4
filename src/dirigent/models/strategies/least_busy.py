"""The candidate with the least to do first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.registry import nearest
from dirigent.models.lots import in_drawn_order
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["LeastBusy"]


class LeastBusy(Strategy, frozen=True):
    """Ask the candidate first that has the fewest requests in flight, on this node, for its capacity.

    Only deployments count their requests; a router among the candidates always looks idle. Where several are equally
    busy the lot falls, so that none is always first.
    """

    at_once: ClassVar[bool] = True

    capacity: Mapping[str, Annotated[float, Meta(gt=0)]] = {}
    """How much each candidate can do, one to the other: with `{large: 4}` four requests at `large` weigh as much as one
    at a candidate that is not named."""

    async def order(self, question: Question) -> Ranking:
        """The candidates by their load, the least first."""
        vitals = question.run.ports.vitals
        flying = {name: vitals.standing(name).in_flight for name in question.candidates}
        loads = {name: flying[name] / self.capacity.get(name, 1.0) for name in flying}
        lots = in_drawn_order({name: self.capacity.get(name, 1.0) for name in flying}, question.run.id)
        order = tuple(sorted(lots, key=loads.__getitem__))
        least = loads[order[0]]
        close = tuple(name for name in order if loads[name] - least <= 1 / self.capacity.get(name, 1.0))
        reason = f"{order[0]} has {flying[order[0]]} requests in flight, the least for its capacity"
        if len(order) > 1 and loads[order[1]] == least:
            reason += "; of equally busy ones the lot fell on it"
        return Ranking(order, reason, details={"in_flight": flying}, close=close)

    def faults(self, candidates: Sequence[str]) -> Iterable[Finding]:
        """Capacities of no candidate."""
        for name in self.capacity:
            if name not in candidates:
                yield Finding(("capacity", name), f"{name!r} is no candidate of this router{nearest(name, candidates)}")
