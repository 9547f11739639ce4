"""Trying again: when, how often, how long after, and that all of it has one budget."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest

from dirigent.core.errors import DirigentError, Overrun, RateLimited, Rejected, TimedOut, Unavailable
from dirigent.core.events import TextDelta
from dirigent.core.run import MAX_TRIES, Run
from dirigent.core.usage import Usage
from tests.models.scripts import CUT, FAILED, SAID, Scripted, one_after_the_other, scripted, told
from tests.upstream import after, streaming
from tests.world import request, until_it_fails


def router(*candidates: str, **settings: Any) -> dict[str, Any]:
    return {"type": "router", "candidates": list(candidates), **settings}


async def failed(world: Scripted, model: str = "a", run: Run | None = None) -> DirigentError:
    """What asking raises."""
    with pytest.raises(DirigentError) as raised:
        await world.events(model, "hello", run)
    return raised.value


def outcomes(run: Run) -> list[tuple[str, str]]:
    return [(attempt.model, attempt.outcome) for attempt in run.record.attempts]


@pytest.mark.parametrize(
    "fault", [FAILED, CUT, told("slow down", 429), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]
)
async def test_what_may_pass_is_tried_again_and_the_caller_never_knows(fault: bytes) -> None:
    async with scripted(a=one_after_the_other(fault, told())) as world:
        run = world.run()
        response = await world.collect("a", "hello", run)

    assert response.text == "Guten Tag"
    assert [outcome for _, outcome in outcomes(run)][1:] == ["answered"]
    assert run.record.tries == MAX_TRIES - 2
    assert run.record.usage == Usage(9, 4)


async def test_it_is_tried_as_often_as_the_deployment_says() -> None:
    tries = []
    for retries in (0, 1, 3):
        async with scripted(settings={"a": {"retries": retries}}, a=one_after_the_other(FAILED)) as world:
            run = world.run()
            await failed(world, run=run)
            tries.append(len(run.record.attempts))

    assert tries == [1, 2, 4]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    async with scripted(a=one_after_the_other(told("no", status))) as world:
        run = world.run()
        await failed(world, run=run)

    assert len(run.record.attempts) == 1


async def test_after_the_first_event_nothing_is_tried_again() -> None:
    async with scripted(a=streaming(SAID, cut=True)) as world:
        run = world.run()
        heard, error = await until_it_fails(world.answer("a", request(stream=True), run))

    assert heard == [TextDelta("Guten Tag")]
    assert isinstance(error, Unavailable)
    assert outcomes(run) == [("a", "unavailable")]


async def test_where_another_candidate_steps_in_nobody_is_tried_again_but_the_last() -> None:
    async with scripted(
        {"auto": router("a", "b")}, a=one_after_the_other(FAILED), b=one_after_the_other(FAILED)
    ) as world:
        run = world.run()
        await failed(world, "auto", run)

    assert [model for model, _ in outcomes(run)] == ["a", "b", "b", "b"]


async def test_a_router_within_a_router_leaves_trying_again_to_the_outer_one() -> None:
    models = {"inner": router("a"), "outer": router("inner", "b")}

    async with scripted(models, a=one_after_the_other(FAILED), b=one_after_the_other(told())) as world:
        run = world.run()
        await world.collect("outer", "hello", run)

    assert outcomes(run) == [("a", "unavailable"), ("b", "answered")]


async def test_all_that_a_run_asks_has_one_budget() -> None:
    names = "abcdefgh"
    failing: dict[str, Any] = {name: one_after_the_other(FAILED) for name in names}
    models = {"inner": router(*names[:4]), "outer": router("inner", *names[4:])}

    async with scripted(models, **failing) as world:
        run = world.run()
        run.record.tries = 6
        error = await failed(world, "outer", run)
        nobody = await failed(world, "a", run)
        visits = [len(world.vendors[name].visits) for name in names]

    assert [model for model, _ in outcomes(run)] == [*"abcdef", "a"]
    assert visits == [1, 1, 1, 1, 1, 1, 0, 0]
    assert isinstance(error, Unavailable)
    assert isinstance(nobody, Overrun)
    assert run.record.tries == 0


async def test_what_a_run_asks_at_the_same_time_counts_together() -> None:
    async with scripted(a=one_after_the_other(told())) as world:
        run = world.run()
        run.record.tries = 3
        results = await asyncio.gather(*(world.events("a", "hello", run) for _ in range(6)), return_exceptions=True)

    assert sum(isinstance(result, Overrun) for result in results) == 3
    assert run.record.tries == 0


async def test_a_choice_that_was_answered_uses_up_no_try() -> None:
    async with scripted(settings={"a": {}}, a=one_after_the_other(told())) as world:
        run = world.run()
        run.record.tries = 2
        model: Any = world.catalog.models["a"]
        async with aclosing(model._one_by_one(request(choices=4), run._child("a"))) as events:
            said = [event async for event in events if isinstance(event, TextDelta)]

    assert [event.choice for event in said] == [0, 1, 2, 3]
    assert run.record.tries == 1


async def test_a_short_wait_that_the_provider_asks_for_is_waited() -> None:
    async with scripted(a=one_after_the_other(told("slow down", 429, retry_after_ms="300"), told())) as world:
        began = time.monotonic()
        response = await world.collect("a")

    assert response.text == "Guten Tag"
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("settings", "seconds", "wait"), [({"patience": 5}, 30, "6"), ({"patience": 60}, 5, "6")], ids=["patience", "run"]
)
async def test_a_wait_that_is_too_long_is_told_to_the_caller_at_once(
    settings: dict[str, Any], seconds: float, wait: str
) -> None:
    async with scripted(settings={"a": settings}, a=one_after_the_other(told("slow", 429, retry_after=wait))) as world:
        run = world.run(seconds=seconds)
        error = await failed(world, run=run)

    assert isinstance(error, RateLimited)
    assert error.retry_after == 6
    assert len(run.record.attempts) == 1


async def test_a_first_try_that_was_made_elsewhere_counts_as_the_first_here() -> None:
    async with scripted(settings={"a": {"retries": 1}}, a=one_after_the_other(FAILED)) as world:
        run = world.run()
        run.record.failed_first = Unavailable("it was cut")
        await failed(world, run=run)
        asked = len(run.record.attempts)
        refused = world.run()
        refused.record.failed_first = Rejected("the request is at fault")
        error = await failed(world, run=refused)

    assert asked == 1
    assert isinstance(error, Rejected)
    assert refused.record.attempts == []


async def test_behind_a_router_a_first_try_that_was_made_elsewhere_leads_to_the_next_candidate() -> None:
    models = {"auto": router("a", "b")}
    async with scripted(models, a=one_after_the_other(told("from a")), b=one_after_the_other(told("from b"))) as world:
        run = world.run()
        run.record.failed_first = TimedOut("it was silent")
        response = await world.collect("auto", "hello", run)

    assert response.text == "from b"


# --- who rests --------------------------------------------------------------------------------------------------------


async def test_a_rate_limited_candidate_is_passed_over_until_its_time_has_come() -> None:
    limited = one_after_the_other(told("slow down", 429, retry_after="60"), told("from a"))
    async with scripted({"auto": router("a", "b")}, a=limited, b=one_after_the_other(told("from b"))) as world:
        first, second = world.run(), world.run()
        said = [(await world.collect("auto", "hello", run)).text for run in (first, second)]
        named = await world.collect("a")
        (decision,) = await world.run().explain("auto", request())

    assert said == ["from b", "from b"]
    assert named.text == "from a"
    assert outcomes(second) == [("b", "answered")]
    assert decision.candidates[1].verdict == "ruled out: its provider asks to wait"


async def test_while_all_rest_the_one_that_is_well_soonest_is_asked_first() -> None:
    manners: dict[str, Any] = {name: one_after_the_other(told(f"from {name}")) for name in "abc"}
    async with scripted({"auto": router("a", "b", "c")}, **manners) as world:
        for name, seconds in (("a", 60), ("b", 20), ("c", 40)):
            world.vitals.told_to_wait(name, seconds)
        run = world.run()
        response = await world.collect("auto", "hello", run)

    assert response.text == "from b"
    assert run.record.decisions[0].reason == "all that can take this request rest, b the shortest"
    assert [each.name for each in run.record.decisions[0].candidates] == ["b", "c", "a"]


async def test_who_rests_is_asked_by_name_by_one_at_a_time() -> None:
    async with scripted(settings={"a": {"retries": 0}}, a=after(60)) as world:
        for _ in range(3):
            world.vitals.failed("a")
        probe = world.answer("a")
        async with aclosing(probe):
            looking = asyncio.ensure_future(anext(probe))
            await world.vendors["a"].asked()
            error = await failed(world)
            looking.cancel()
            await asyncio.wait([looking])
        free = world.vitals.enter("a")

    assert isinstance(error, Unavailable)
    assert error.retry_after == pytest.approx(10, abs=1)
    assert len(world.vendors["a"].visits) == 1
    assert free


async def test_each_deployment_has_its_own_breaker() -> None:
    async with scripted(
        settings={"a": {"retries": 0, "breaker": {"failures": 1, "rest": 100}}}, a=one_after_the_other(FAILED)
    ) as world:
        await failed(world)

    assert world.vitals.standing("a").rests > 90
