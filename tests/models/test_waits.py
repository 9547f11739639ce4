"""The four waits, each in every window in which it may run out, by name and behind a router."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dirigent.core.errors import TimedOut
from tests.models.scripts import SAID, one_after_the_other, scripted, told
from tests.net.providers import Manner, Visit
from tests.upstream import after, frames, head
from tests.world import World, request, until_it_fails

PIECE = b"%x\r\n%b\r\n" % (len(SAID), SAID)
BEGUN = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"
SPEAKING = frames({"choices": []})


def dripping(*first: bytes) -> Manner:
    """Says these bytes, and then a comment from time to time, for ever."""

    async def manner(visit: Visit) -> None:
        await visit.request()
        for data in first:
            visit.say(data)
        while True:
            await asyncio.sleep(0.02)
            visit.say(b"4\r\n: x\n\r\n")
            await visit.writer.drain()

    return manner


BEFORE: dict[str, tuple[dict[str, float], Manner, bool, str]] = {
    "no head": ({"first_byte": 0.1}, after(60), True, "did not begin"),
    "no head of a whole answer": ({"first_byte": 0.1}, after(60), False, "did not begin"),
    "silent after the head": ({"idle": 0.1}, after(60, head()), True, "fell silent"),
    "silent within a whole answer": ({"idle": 0.1}, after(60, BEGUN), False, "fell silent"),
    "talkative without a word": ({"total": 0.9, "idle": 0.6}, dripping(head()), True, "not complete"),
    "no head in all the time": ({"total": 0.1}, after(60), True, "not complete"),
}
"""The settings, what the provider does, whether a stream is asked for, and the words of the error."""
AFTER: dict[str, tuple[dict[str, float], Manner, str]] = {
    "silent": ({"idle": 0.1}, after(60, head(), PIECE), "fell silent"),
    "endless": ({"total": 0.9, "idle": 0.6}, dripping(head(), PIECE), "not complete"),
}


@pytest.mark.parametrize("window", BEFORE)
async def test_a_wait_that_runs_out_before_the_first_event_is_an_error_by_name_and_a_fallback_behind_a_router(
    window: str,
) -> None:
    waits, manner, stream, words = BEFORE[window]
    models = {"auto": {"type": "router", "candidates": ["a", "b"]}}
    settings = {"a": {"timeouts": waits, "retries": 0}}

    async with scripted(models, settings, a=manner, b=one_after_the_other(told("from b"))) as world:
        heard, error = await until_it_fails(world.answer("a", request(stream=stream)))
        response = await world.collect("auto", request(stream=stream))

    assert heard == []
    assert isinstance(error, TimedOut)
    assert words in error.message
    assert response.text == "from b"
    assert world.in_flight == 0


@pytest.mark.parametrize("window", AFTER)
async def test_a_wait_that_runs_out_after_the_first_event_ends_the_answer_by_name_and_behind_a_router(
    window: str,
) -> None:
    waits, manner, words = AFTER[window]
    models = {"auto": {"type": "router", "candidates": ["a", "b"]}}

    async with scripted(models, {"a": {"timeouts": waits}}, a=manner, b=one_after_the_other(told())) as world:
        for model in ("a", "auto"):
            heard, error = await until_it_fails(world.answer(model, request(stream=True)))
            assert len(heard) == 1
            assert isinstance(error, TimedOut)
            assert words in error.message

    assert world.vendors["b"].visits == []
    assert world.in_flight == 0


async def test_a_connection_that_does_not_come_about_in_time_is_an_error_by_name_and_a_fallback_behind_a_router() -> (
    None
):
    async with scripted(a=after(60), b=one_after_the_other(told("from b"))) as there:
        deaf, well = (there.vendors[name].origin.port for name in "ab")
        at: dict[str, Any] = {
            "deaf": {"type": "compatible", "base_url": f"https://127.0.0.1:{deaf}"},  # it will never shake hands
            "well": {"type": "compatible", "base_url": f"http://127.0.0.1:{well}"},
        }
        one = {"type": "deployment", "provider": "deaf", "name": "x", "retries": 0, "timeouts": {"connect": 0.2}}
        two = {"type": "deployment", "provider": "well", "name": "x"}
        world = World({"a": one, "b": two, "auto": {"type": "router", "candidates": ["a", "b"]}}, at)
        _, error = await until_it_fails(world.answer("a"))
        response = await world.collect("auto")

    assert isinstance(error, TimedOut)
    assert response.text == "from b"
