"""The model of tests and first steps."""

from __future__ import annotations

import time

from dirigent.core.events import Finished, TextDelta, UsageReported
from dirigent.core.messages import Request
from dirigent.core.usage import Money, Usage
from tests.world import World


async def test_it_says_the_last_message_word_by_word_and_costs_nothing() -> None:
    world = World({"m": {"type": "echo"}})
    run = world.run()

    events = await world.events("m", "one two", run)

    assert events == [TextDelta("one"), TextDelta(" two"), Finished("stop"), UsageReported(Usage(2, 2))]
    assert (run.record.deployment, run.record.known_cost) == ("m", Money(0))


async def test_it_says_what_it_is_told_and_pauses_between_words() -> None:
    world = World({"m": {"type": "echo", "says": "a b c", "pause": 0.02}})
    began = time.monotonic()

    response = await world.collect("m", "ignored")

    assert response.text == "a b c"
    assert time.monotonic() - began >= 0.06


async def test_a_conversation_without_a_word_gets_an_answer_too() -> None:
    world = World({"m": {"type": "echo"}})

    assert (await world.collect("m", Request(model="m", messages=()))).text == ""
