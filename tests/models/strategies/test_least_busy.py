"""The candidate with the least to do, for what it can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dirigent.memory import MemoryVitals
from dirigent.models.strategies.least_busy import LeastBusy
from tests.models.strategies.world import question


def busy(loads: Mapping[str, int]) -> MemoryVitals:
    """Deployments with so many requests in flight."""
    vitals = MemoryVitals()
    for name, requests in loads.items():
        for _ in range(requests):
            vitals.enter(name)
    return vitals


async def test_the_least_busy_comes_first() -> None:
    ranking = await LeastBusy().order(question(candidates=("a", "b", "c"), vitals=busy({"a": 3, "b": 1, "c": 2})))

    assert ranking.order == ("b", "c", "a")
    assert ranking.reason == "b has 1 requests in flight, the least for its capacity"
    assert ranking.details == {"in_flight": {"a": 3, "b": 1, "c": 2}}


async def test_a_large_one_takes_as_much_more_as_it_can() -> None:
    strategy = LeastBusy(capacity={"a": 4})

    ranking = await strategy.order(question(candidates=("a", "b"), vitals=busy({"a": 3, "b": 1})))

    assert ranking.order == ("a", "b")


async def test_among_equals_the_lot_falls_by_capacity() -> None:
    strategy, first = LeastBusy(capacity={"a": 3}), Counter[str]()

    for number in range(400):
        ranking = await strategy.order(question(candidates=("a", "b"), run=f"run-{number}"))
        first[ranking.order[0]] += 1

    assert 250 < first["a"] < 350


async def test_one_request_more_or_less_is_no_reason_to_leave_a_warm_cache() -> None:
    ranking = await LeastBusy().order(question(candidates=("a", "b", "c"), vitals=busy({"b": 1, "c": 2})))

    assert ranking.close == ("a", "b")


def test_a_capacity_of_nobody_is_refused() -> None:
    (fault,) = LeastBusy(capacity={"larg": 2.0}).faults(("large", "small"))

    assert fault.path == ("capacity", "larg")
    assert "did you mean 'large'" in fault.message
