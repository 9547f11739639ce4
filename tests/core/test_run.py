"""A run bounds what its models ask, and adds up what they used."""

from __future__ import annotations

import pytest

from dirigent.core.errors import Overrun, UnknownModel
from dirigent.core.run import MAX_DEPTH, Record
from dirigent.core.usage import Money, Usage
from tests.world import World, request


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    world = World({"cheap-writer": {"type": "echo"}})

    with pytest.raises(UnknownModel, match="did you mean 'cheap-writer'") as raised:
        world.run().ask("cheap-witer", request())

    assert raised.value.param == "model"


async def test_depth_is_bounded_and_everything_else_is_inherited() -> None:
    models = {f"m{depth}": {"type": "router", "candidates": [f"m{depth + 1}"]} for depth in range(MAX_DEPTH)}
    world = World({**models, f"m{MAX_DEPTH}": {"type": "echo"}})

    assert (await world.collect("m1")).text == "hello"
    with pytest.raises(Overrun, match="16 deep"):
        await world.collect("m0")


async def test_a_run_whose_time_is_used_up_asks_nobody() -> None:
    world = World({"m": {"type": "echo"}})
    run = world.run(seconds=0)

    with pytest.raises(Overrun, match="'m' was not asked"):
        await world.collect("m", "hello", run)

    assert run.seconds_left == 0
    assert run.record.attempts == []


def test_a_cost_is_known_only_where_every_part_of_it_is() -> None:
    record = Record()

    record.settle(Usage(1, 2), Money(5))
    record.settle(Usage(3, 4), Money(6))
    known = record.known_cost
    record.settle(None, None)

    assert (record.usage, known) == (Usage(4, 6), Money(11))
    assert record.known_cost is None


def test_costs_in_two_currencies_have_no_known_sum() -> None:
    record = Record()

    record.settle(None, Money(5))
    record.settle(None, Money(5, "EUR"))

    assert record.known_cost is None
