"""A slow candidate gets company: who speaks first is heard, and the other is closed at once and settled once."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Any

import pytest

from dirigent.core.errors import NoCandidate, Rejected
from dirigent.core.events import TextDelta
from dirigent.core.run import Run
from dirigent.net import HttpClient
from tests.models.scripts import FAILED, SAID, one_after_the_other, scripted, slow, told
from tests.net.providers import Visit
from tests.upstream import DONE, after, chunk, frames, head, streaming
from tests.world import World, request, until_it_fails

WHOLE = SAID + frames(chunk(finish="stop")) + DONE


def hedged(*candidates: str, seconds: float = 0.1, **settings: Any) -> dict[str, Any]:
    return {"auto": {"type": "router", "candidates": list(candidates), "hedge": {"after": seconds}, **settings}}


def outcomes(run: Run) -> Counter[tuple[str, str]]:
    return Counter((attempt.model, attempt.outcome) for attempt in run.record.attempts)


def nothing_is_open(world: World) -> bool:
    assert isinstance(world.ports.http, HttpClient)
    assert not [task for task in asyncio.all_tasks() if "_Runner" in repr(task)]
    return world.ports.http.working == 0


async def test_who_is_quick_enough_stays_alone() -> None:
    async with scripted(hedged("a", "b", seconds=5), a=streaming(WHOLE), b=streaming(WHOLE)) as world:
        run = world.run()
        response = await world.collect("auto", request(stream=True), run)

    assert response.text == "Guten Tag"
    assert world.vendors["b"].visits == []
    assert run.record.decisions[0].reason == "a stands first in the configuration"


@pytest.mark.parametrize("silence", [(), (head(),)], ids=["before the head", "after it"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_slow_one_gets_company_and_is_closed_at_once_when_the_other_speaks(
    silence: tuple[bytes, ...], *, stream: bool
) -> None:
    second = streaming(WHOLE) if stream else one_after_the_other(told())
    async with scripted(
        hedged("a", "b"), {"a": {"price": {"input": 1, "output": 1}}}, a=after(60, *silence), b=second
    ) as world:
        run = world.run()
        response = await world.collect("auto", request(stream=stream), run)
        await asyncio.wait_for(world.vendors["a"].visits[0].gone.wait(), 30)

    assert response.text == "Guten Tag"
    assert run.record.deployment == "b"
    assert outcomes(run) == {("a", "abandoned"): 1, ("b", "answered"): 1}
    assert run.record.decisions[0].reason == "a was silent for 0.1 s, and b spoke first"
    assert nothing_is_open(world)
    assert world.in_flight == 0


async def test_the_first_may_still_be_the_first_and_then_the_second_is_closed() -> None:
    asked = asyncio.Event()

    async def first(visit: Visit) -> None:
        await visit.request()
        await asked.wait()
        visit.say(told("from a"))

    async def second(visit: Visit) -> None:
        await visit.request()
        asked.set()
        await visit.until_gone()

    async with scripted(hedged("a", "b"), a=first, b=second) as world:
        run = world.run()
        response = await world.collect("auto", "hello", run)
        await asyncio.wait_for(world.vendors["b"].visits[0].gone.wait(), 30)

    assert response.text == "from a"
    assert run.record.deployment == "a"
    assert outcomes(run) == {("b", "abandoned"): 1, ("a", "answered"): 1}


async def test_who_fails_while_the_other_is_silent_is_made_up_for_by_the_next() -> None:
    manners: dict[str, Any] = {
        "a": after(60),
        "b": one_after_the_other(FAILED),
        "c": one_after_the_other(told("from c")),
    }
    async with scripted(hedged("a", "b", "c"), **manners) as world:
        run = world.run()
        response = await world.collect("auto", "hello", run)

    assert response.text == "from c"
    assert outcomes(run) == {("a", "abandoned"): 1, ("b", "unavailable"): 1, ("c", "answered"): 1}


async def test_who_fails_at_once_is_followed_at_once() -> None:
    async with scripted(
        hedged("a", "b", seconds=60), a=one_after_the_other(FAILED), b=one_after_the_other(told("from b"))
    ) as world:
        response = await asyncio.wait_for(world.collect("auto"), 30)

    assert response.text == "from b"


async def test_where_all_fail_the_error_names_each() -> None:
    async with scripted(
        hedged("a", "b"), {"b": {"retries": 0}}, a=one_after_the_other(FAILED), b=one_after_the_other(FAILED)
    ) as world:
        _, error = await until_it_fails(world.answer("auto"))

    assert isinstance(error, NoCandidate)
    assert "a:" in error.message
    assert "b:" in error.message


async def test_a_fault_of_the_request_ends_the_race() -> None:
    async with scripted(hedged("a", "b"), a=after(60), b=one_after_the_other(told("bad", 400))) as world:
        run = world.run()
        _, error = await until_it_fails(world.answer("auto", "hello", run))

    assert isinstance(error, Rejected)
    assert outcomes(run) == {("a", "abandoned"): 1, ("b", "invalid_request"): 1}
    assert nothing_is_open(world)


async def test_after_the_first_event_no_other_is_asked() -> None:
    async with scripted(hedged("a", "b", seconds=0.5), a=after(1, head(), piece(SAID)), b=streaming(WHOLE)) as world:
        heard, _ = await until_it_fails(world.answer("auto", request(stream=True)))

    assert heard == [TextDelta("Guten Tag")]
    assert world.vendors["b"].visits == []


@pytest.mark.parametrize("moment", [0.02, 0.1, 0.15, 0.3])
@pytest.mark.parametrize("second", [(), (head(),)], ids=["before the head", "after it"])
async def test_who_leaves_in_any_moment_closes_all_that_was_opened_and_settles_each_once(
    moment: float, second: tuple[bytes, ...]
) -> None:
    async with scripted(hedged("a", "b"), a=after(60), b=after(60, *second)) as world:
        run = world.run()
        asking = asyncio.ensure_future(world.events("auto", request(stream=True), run))
        await asyncio.sleep(moment)
        asking.cancel()
        await asyncio.wait([asking])
        visits = [visit for vendor in world.vendors.values() for visit in vendor.visits]
        for visit in visits:
            await asyncio.wait_for(visit.gone.wait(), 30)

    assert asking.cancelled()
    assert all(count == 1 for count in outcomes(run).values())
    assert {outcome for _, outcome in outcomes(run)} <= {"abandoned"}
    assert len(run.record.attempts) >= len(visits)
    assert nothing_is_open(world)
    assert world.in_flight == 0


async def test_who_leaves_after_the_race_closes_the_winner() -> None:
    async with scripted(hedged("a", "b"), a=after(60), b=after(60, head(), piece(SAID))) as world:
        run = world.run()
        async with aclosing(world.answer("auto", request(stream=True), run)) as events:
            first = await anext(events)
        for vendor in world.vendors.values():
            await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)

    assert first == TextDelta("Guten Tag")
    assert outcomes(run) == {("a", "abandoned"): 1, ("b", "abandoned"): 1}
    assert world.in_flight == 0


async def test_when_both_speak_in_the_same_moment_one_is_heard_and_each_is_settled_once() -> None:
    """Many times over, since nobody can say which of them is first."""
    async with scripted(hedged("a", "b", seconds=0.05), a=slow(0.1, "one"), b=slow(0.05, "two")) as world:
        runs: list[Run] = [world.run() for _ in range(20)]
        said = [(await world.collect("auto", "hello", run)).text for run in runs]

    for text, run in zip(said, runs, strict=True):
        answered = [attempt.model for attempt in run.record.attempts if attempt.outcome == "answered"]
        assert answered == [{"one": "a", "two": "b"}[text]]
        assert run.record.deployment == answered[0]
        assert all(count == 1 for count in outcomes(run).values())
    assert any(len(run.record.attempts) == 2 for run in runs)
    assert world.in_flight == 0


async def test_a_budget_of_one_try_gives_nobody_company() -> None:
    async with scripted(hedged("a", "b"), a=slow(0.3, "from a"), b=streaming(WHOLE)) as world:
        run = world.run()
        run.record.tries = 1
        response = await world.collect("auto", "hello", run)

    assert response.text == "from a"
    assert world.vendors["b"].visits == []


def piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
