"""A deployment that answers a bounded number of requests at once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from dirigent.core.errors import Busy
from dirigent.core.events import TextDelta
from dirigent.core.run import MAX_TRIES
from dirigent.memory import MemorySlots
from tests.models.scripts import SAID, Scripted, one_after_the_other, scripted, slow, told
from tests.upstream import after, head
from tests.world import World, request, until_it_fails

SPEAKING = (head(), b"%x\r\n%b\r\n" % (len(SAID), SAID))


def waiting(world: World) -> int:
    assert isinstance(world.ports.slots, MemorySlots)
    return world.ports.slots.waiting("a")


async def begun(world: Scripted, visits: int) -> None:
    """Returns once the provider has so many visitors."""
    async with asyncio.timeout(30):
        while len(world.vendors["a"].visits) < visits:  # noqa: ASYNC110  counting is all that can be waited for
            await asyncio.sleep(0.005)


async def test_no_more_requests_than_there_are_places_are_at_the_provider_at_once() -> None:
    async with scripted(settings={"a": {"concurrency": 2}}, a=slow(0.1)) as world:
        answers = await asyncio.gather(*(world.collect("a") for _ in range(6)))
        visits = len(world.vendors["a"].visits)

    assert [answer.text for answer in answers] == ["late"] * 6
    assert visits == 2
    assert world.in_flight == 0


async def test_a_stream_holds_its_place_until_its_end_however_it_ends() -> None:
    async with scripted(settings={"a": {"concurrency": 1}}, a=after(60, *SPEAKING)) as world:
        async with aclosing(world.answer("a", request(stream=True))) as events:
            assert await anext(events) == TextDelta("Guten Tag")
            second = asyncio.ensure_future(anext(world.answer("a", request(stream=True))))
            async with asyncio.timeout(30):
                while not waiting(world):  # noqa: ASYNC110  counting is all that can be waited for
                    await asyncio.sleep(0.005)
            held = waiting(world)
        first = await asyncio.wait_for(second, 30)

    assert held == 1
    assert first == TextDelta("Guten Tag")


async def test_who_leaves_the_queue_has_asked_nobody() -> None:
    async with scripted(settings={"a": {"concurrency": 1}}, a=after(60)) as world:
        run = world.run()
        first, second = (asyncio.ensure_future(world.events("a", "hello", each)) for each in (world.run(), run))
        await begun(world, 1)
        queued = waiting(world)
        second.cancel()
        await asyncio.wait([second])
        left = waiting(world)
        first.cancel()
        await asyncio.wait([first])

    assert (queued, left) == (1, 0)
    assert run.record.tries == MAX_TRIES
    assert world.in_flight == 0


async def test_a_full_queue_refuses_and_the_deployment_is_well_all_the_same() -> None:
    settings: dict[str, Any] = {"concurrency": 1, "queue": {"length": 0}}
    async with scripted(settings={"a": settings}, a=after(60)) as world:
        first = asyncio.ensure_future(world.events("a"))
        await begun(world, 1)
        errors = [(await until_it_fails(world.answer("a")))[1] for _ in range(5)]
        first.cancel()
        await asyncio.wait([first])

    assert all(isinstance(error, Busy) and error.retry_after for error in errors)
    assert world.vitals.healthy("a")


async def test_where_another_candidate_can_take_it_nobody_waits_long() -> None:
    auto = {"type": "router", "candidates": ["a", "b"]}
    settings = {"a": {"concurrency": 1, "queue": {"backed": 0.05}}}
    async with scripted({"auto": auto}, settings, a=after(60), b=one_after_the_other(told("from b"))) as world:
        first = asyncio.ensure_future(world.events("a"))
        await begun(world, 1)
        run = world.run()
        response = await asyncio.wait_for(world.collect("auto", "hello", run), 30)
        first.cancel()
        await asyncio.wait([first])

    assert response.text == "from b"
    assert [attempt.outcome for attempt in run.record.attempts] == ["busy", "answered"]


async def test_the_critical_are_served_first() -> None:
    async with scripted(settings={"a": {"concurrency": 1}}, a=slow(0.05)) as world:
        order: list[str] = []

        async def ask(priority: Any) -> None:
            run = world.run()
            run.priority = priority
            await world.collect("a", "hello", run)
            order.append(priority)

        async with asyncio.TaskGroup() as tasks:
            for priority in ("normal", "bulk", "normal", "critical"):
                tasks.create_task(ask(priority))
                await asyncio.sleep(0)

    assert order == ["normal", "critical", "normal", "bulk"]


async def test_a_deployment_without_a_bound_has_no_queue() -> None:
    class Forbidden(MemorySlots):
        async def take(self, *given: Any, **named: Any) -> None:
            pytest.fail("nobody counts here")

    async with scripted(a=slow(0.01)) as world:
        world.ports = msgspec.structs.replace(world.ports, slots=Forbidden())
        assert (await world.collect("a")).text == "late"
