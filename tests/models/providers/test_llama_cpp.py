"""The embedded model as a provider: free, streamed in any case, one choice at a time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from dirigent.core.errors import Unavailable
from dirigent.core.events import TextDelta
from dirigent.core.ports import LocalEndpoint, LocalSetup, LocalState
from dirigent.core.usage import Money, Price, Usage
from dirigent.dialects.openai_chat import OpenAIChat
from tests.net.providers import Provider, Visit, provider
from tests.upstream import DONE, chunk, frames, head
from tests.world import World, request

USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
SAID = frames(chunk({"role": "assistant", "content": None}), chunk({"content": "Hallo"}), chunk(finish="stop"))


class Machine:
    """A machine on which the embedded model listens where a test's provider does."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[tuple[str, LocalSetup, float]] = []

    def state(self, name: str) -> LocalState:
        return LocalState("ready", "ready")

    def slots(self, setup: LocalSetup) -> int:
        return setup.slots or 2

    async def endpoint(self, name: str, setup: LocalSetup, patience: float) -> LocalEndpoint:
        self.asked.append((name, setup, patience))
        return LocalEndpoint(self.port, "local-key")


@asynccontextmanager
async def embedded(*broken: int, **settings: Any) -> AsyncIterator[tuple[World, Machine, list[dict[str, Any]]]]:
    """A world with the embedded model `m`; the calls whose numbers are `broken` fail."""
    heard: list[dict[str, Any]] = []

    async def manner(visit: Visit) -> None:
        while True:
            told, body = await visit.request()
            assert "authorization: Bearer local-key" in told
            heard.append(json.loads(body))
            if len(heard) in broken:
                visit.say(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
                continue
            data = SAID + frames(chunk(usage=USAGE)) + DONE
            visit.say(head() + f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")

    machine = Machine()
    vendor: Provider
    async with provider(manner) as vendor:
        machine.port = vendor.origin.port
        models = {"m": {"type": "deployment", "provider": "p", "name": "qwen", "retries": 0}}
        yield World(models, {"p": {"type": "llama_cpp", **settings}}, local=machine), machine, heard


async def test_a_whole_answer_is_asked_for_as_a_stream_with_a_bound() -> None:
    async with embedded(slots=2, patience=7) as (world, machine, heard):
        run = world.run()
        response = await world.collect("m", "hello", run)

    assert response.text == "Hallo"
    assert heard[0]["stream"] is True
    assert (heard[0]["max_tokens"], heard[0]["return_progress"]) == (1024, True)
    assert machine.asked == [("qwen", LocalSetup(2, 4096, None), 7)]
    assert (run.record.usage, run.record.known_cost) == (Usage(9, 2), Money(0))


async def test_the_callers_own_bytes_are_never_sent_because_its_stream_tells_progress() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"grammar":"root","max_tokens":5}'

    async with embedded() as (world, _, heard):
        events = await world.events("m", OpenAIChat().read_request(body))

    assert events[0] == TextDelta("Hallo")
    assert (heard[0]["model"], heard[0]["grammar"], heard[0]["max_tokens"]) == ("qwen", "root", 5)


async def test_several_choices_are_asked_for_one_by_one_and_settled_so() -> None:
    async with embedded() as (world, _, heard):
        run = world.run()
        response = await world.collect("m", request(choices=3), run)

    assert [choice.message.text for choice in response.choices] == ["Hallo"] * 3
    assert response.usage == Usage(27, 6)
    assert ["n" in sent for sent in heard] == [False] * 3
    assert [attempt.outcome for attempt in run.record.attempts] == ["answered"] * 3
    assert run.record.usage == Usage(27, 6)


async def test_a_choice_that_fails_is_one_failed_attempt() -> None:
    async with embedded(2) as (world, _, _):
        run = world.run()
        with pytest.raises(Unavailable):
            await world.collect("m", request(choices=3), run)

    assert [attempt.outcome for attempt in run.record.attempts] == ["answered", "unavailable"]


async def test_it_is_free_and_its_window_is_that_of_a_slot() -> None:
    async with embedded(context=2048) as (world, _, _):
        profile = world.catalog.profile("m")

    assert profile.price == Price(Decimal(0), Decimal(0))
    assert profile.context_window == 2048
    assert profile.capabilities is not None
    assert "images" not in profile.capabilities
