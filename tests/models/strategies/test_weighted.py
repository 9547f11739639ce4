"""Shares that come out as they are written, and callers who stay where they are."""

from __future__ import annotations

from collections import Counter

import pytest

from dirigent.core.messages import Message, Text
from dirigent.models.strategies.weighted import Weighted
from tests.models.strategies.world import question

NAMES = ("a", "b", "c")
DRAWS = 6_000


async def test_each_candidate_gets_its_share() -> None:
    strategy = Weighted(weights={"a": 5, "b": 3, "c": 2})

    first = Counter(
        [(await strategy.order(question(candidates=NAMES, run=f"run-{number}"))).order[0] for number in range(DRAWS)]
    )

    # Pearson's chi-square with two degrees of freedom: 13.8 is passed once in a thousand fair draws.
    expected = {"a": 0.5 * DRAWS, "b": 0.3 * DRAWS, "c": 0.2 * DRAWS}
    assert sum((first[name] - count) ** 2 / count for name, count in expected.items()) < 13.8


@pytest.mark.parametrize(("sticky", "user"), [("customer-7", None), (None, "customer-7")])
async def test_a_subject_stays_with_one_candidate_whatever_it_asks(sticky: str | None, user: str | None) -> None:
    strategy = Weighted(weights=dict.fromkeys(NAMES, 1.0))

    orders = {
        (await strategy.order(question(f"text {number}", NAMES, run=f"run-{number}", sticky=sticky, user=user))).order
        for number in range(50)
    }

    assert len(orders) == 1


async def test_a_conversation_stays_where_it_began() -> None:
    strategy = Weighted(weights=dict.fromkeys(NAMES, 1.0), together="conversation")
    rules, first = Message("system", (Text("Be brief."),)), Message("user", (Text("Who wrote Faust?"),))
    answer = Message("assistant", (Text("Goethe."),))

    began = await strategy.order(question("Who wrote Faust?", NAMES, said=(rules,), run="run-1"))
    went_on = await strategy.order(question("And when?", NAMES, said=(rules, first, answer), run="run-2"))

    assert began.order == went_on.order


async def test_a_virtual_key_stays_and_other_keys_are_drawn_anew() -> None:
    strategy = Weighted(weights=dict.fromkeys(NAMES, 1.0), together="key")

    by_key = {
        f"key-{number}": {
            (await strategy.order(question(candidates=NAMES, key=f"key-{number}", run=run))).order
            for run in ("run-1", "run-2", "run-3")
        }
        for number in range(30)
    }

    assert all(len(orders) == 1 for orders in by_key.values())
    assert len({order[0] for orders in by_key.values() for order in orders}) == 3


async def test_a_changed_weight_moves_only_callers_to_or_from_its_candidate() -> None:
    before, after = Weighted(weights={"a": 1, "b": 1, "c": 1}), Weighted(weights={"a": 1, "b": 1, "c": 2})

    moves = Counter(
        [
            (
                (await before.order(question(candidates=NAMES, sticky=f"s-{number}"))).order[0],
                (await after.order(question(candidates=NAMES, sticky=f"s-{number}"))).order[0],
            )
            for number in range(1_000)
        ]
    )

    assert all(new in {old, "c"} for old, new in moves)
    assert sum(count for (old, new), count in moves.items() if old != new) < 250  # 1/6 must move


async def test_a_candidate_without_weight_only_stands_in() -> None:
    strategy = Weighted(weights={"b": 1})

    ranking = await strategy.order(question(candidates=NAMES))

    assert ranking.order == ("b", "a", "c")
    assert ranking.reason == "the lot of this request fell on b, which has a share of 100.0%"


async def test_where_no_weight_is_left_the_configuration_decides() -> None:
    ranking = await Weighted(weights={"b": 1}).order(question(candidates=("a", "c")))

    assert ranking.order == ("a", "c")
    assert ranking.reason == "no candidate that can take this request has a weight, so a comes first as written"


def test_weights_of_strangers_and_no_weights_at_all_are_faults() -> None:
    faults = {fault.dotted(): fault.message for fault in Weighted(weights={"smal": 1}).faults(("small", "large"))}

    assert faults == {
        "weights.smal": "'smal' is no candidate of this router; did you mean 'small'?",
        "weights": "no candidate has a weight over 0, so no traffic could be shared out",
    }
