"""Data goes where its purpose lets it go, whoever asks on whose behalf."""

from __future__ import annotations

import pytest

from dirigent.core.errors import Forbidden
from dirigent.core.grants import Grant, Scope
from dirigent.core.purposes import Purpose
from tests.world import World

MODELS = {
    "here": {"type": "echo", "says": "from here"},
    "there": {"type": "deployment", "provider": "abroad", "name": "x"},
    "first": {"type": "router", "candidates": ["there", "here"]},
    "only": {"type": "router", "candidates": ["there"]},
}
PROVIDERS = {"abroad": {"type": "compatible", "base_url": "http://127.0.0.1:9/v1", "region": "us"}}


def bound(*regions: str, denied: tuple[str, ...] = ()) -> Grant:
    purpose = Purpose("sales", models=("*",), denied=denied, regions=regions)
    return Grant(purpose, (Scope("the purpose sales", purpose.models, purpose.denied),))


async def test_a_router_passes_over_who_would_take_the_data_out_of_its_regions() -> None:
    world = World(MODELS, PROVIDERS)
    run = world.run()
    run.grant = bound("eu")

    answered = await world.collect("first", run=run)

    assert answered.text == "from here"
    assert (
        run.record.decisions[0].candidates[1].verdict.startswith("ruled out: the purpose sales lets data go to local")
    )


async def test_a_deployment_abroad_is_not_asked_however_it_is_reached() -> None:
    world = World(MODELS, PROVIDERS)

    for name in ("there", "only"):
        run = world.run()
        run.grant = bound("eu")
        with pytest.raises(Forbidden, match="'there' is in us"):
            await world.collect(name, run=run)
        assert not any(attempt.outcome == "answered" for attempt in run.record.attempts)


async def test_a_region_that_nobody_has_named_is_none_of_those_that_are_permitted() -> None:
    world = World(MODELS, {"abroad": {"type": "compatible", "base_url": "http://127.0.0.1:9/v1"}})
    run = world.run()
    run.grant = bound("eu", "us")

    with pytest.raises(Forbidden, match="a region that nobody has named"):
        await world.collect("there", run=run)


async def test_what_is_denied_stays_denied_behind_a_router_that_may_be_asked() -> None:
    world = World(
        {"a": {"type": "echo"}, "b": {"type": "echo", "says": "b"}, "r": {"type": "router", "candidates": ["a", "b"]}}
    )
    run = world.run()
    run.grant = bound("eu", denied=("a",))

    answered = await world.collect("r", run=run)

    assert answered.text == "b"
    assert run.grant.may_ask("r").permitted
    assert not run.grant.may_ask("a").permitted
