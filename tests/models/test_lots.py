"""Lots that fall the same way each time."""

from __future__ import annotations

from statistics import mean, pstdev

from hypothesis import given
from hypothesis import strategies as some

from dirigent.models.lots import drawn, in_drawn_order


@given(some.lists(some.text(max_size=20), max_size=4))
def test_a_lot_lies_between_0_and_1_and_never_changes(key: list[str]) -> None:
    assert 0 < drawn(*key) < 1
    assert drawn(*key) == drawn(*key)


def test_lots_spread_evenly() -> None:
    lots = [drawn("spread", str(number)) for number in range(10_000)]

    assert abs(mean(lots) - 0.5) < 0.01  # the mean of so many strays by 0.0029
    assert abs(pstdev(lots) - 12**-0.5) < 0.01


def test_the_pieces_of_a_key_do_not_run_into_each_other() -> None:
    assert drawn("ab", "c") != drawn("a", "bc")


@given(some.dictionaries(some.text(min_size=1, max_size=5), some.floats(0, 1e9), max_size=6), some.text(max_size=5))
def test_every_name_is_drawn_once_and_those_without_weight_stand_last(weights: dict[str, float], key: str) -> None:
    order = in_drawn_order(weights, key)

    assert sorted(order) == sorted(weights)
    behind = [weights[name] for name in order if weights[name] == 0]
    assert behind == [weights[name] for name in order][len(order) - len(behind) :]


def test_the_smallest_weight_stands_before_none() -> None:
    assert in_drawn_order({"none": 0.0, "least": 5e-324}) == ["least", "none"]
