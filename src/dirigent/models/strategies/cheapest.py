"""The lowest expected cost first."""

from __future__ import annotations

from typing import ClassVar

from dirigent.core.usage import Money
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Cheapest"]


class Cheapest(Strategy, frozen=True):
    """Ask the candidate with the lowest expected cost first: its price by the tokens that the request will likely use.

    Equal costs keep the order of the configuration. A candidate whose price is unknown comes last, because unknown is
    not free; so does one whose price is in another currency than the first known one, because the two do not compare.
    """

    at_once: ClassVar[bool] = True

    async def order(self, question: Question) -> Ranking:
        """Known costs ascending, then what cannot be compared in the order of the configuration."""
        costs = {name: question.cost(name) for name in question.candidates}
        known = {name: cost for name, cost in costs.items() if cost is not None}
        currency = next((cost.currency for cost in known.values()), "")
        comparable = {name: cost for name, cost in known.items() if cost.currency == currency}
        order = [*sorted(comparable, key=lambda name: comparable[name].nano)]
        order += [name for name in question.candidates if name not in comparable]
        close = tuple(name for name, cost in comparable.items() if cost.nano == comparable[order[0]].nano)
        return Ranking(tuple(order), _reason(order, comparable, costs), details={"costs": _shown(costs)}, close=close)


def _reason(order: list[str], comparable: dict[str, Money], costs: dict[str, Money | None]) -> str:
    if not comparable:
        return f"no candidate has a known price, so {order[0]} comes first as written"
    unknown = [name for name, cost in costs.items() if cost is None]
    foreign = [name for name, cost in costs.items() if cost is not None and name not in comparable]
    reason = f"{order[0]} has the lowest expected cost, {comparable[order[0]]}"
    if unknown:
        reason += f"; the price of {' and '.join(unknown)} is unknown"
    if foreign:
        reason += f"; {' and '.join(foreign)} asks for another currency"
    return reason


def _shown(costs: dict[str, Money | None]) -> dict[str, str | None]:
    return {name: None if cost is None else str(cost) for name, cost in costs.items()}
