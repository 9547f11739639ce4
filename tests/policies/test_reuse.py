"""Answers given again: to whom, for how long, at what cost, and when never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import count
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.errors import DirigentError, Unavailable
from dirigent.core.events import Event, Finished, RefusalDelta, TextDelta, ToolCallDelta, UsageReported, collect
from dirigent.core.identity import Principal
from dirigent.core.messages import Message, Request, Text, Tool
from dirigent.core.policy import Policy
from dirigent.core.run import Run
from dirigent.core.usage import Money, Usage
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.memory import MemoryCache
from dirigent.policies.reuse import Reuse
from dirigent.policies.reuse.keys import key_of
from dirigent.policies.reuse.lasting import lasting
from tests.net.providers import Visit, provider
from tests.upstream import DONE, answer, chunk, frames, head
from tests.world import READER, World, request, until_it_fails

_numbers = count(1)
PRINCIPAL = Principal("tenant", "project", "key")


class Counting:
    """A model that tells how often it was asked; it may wait, fail half-way, or say what it is told."""

    def __init__(self, *said: Event) -> None:
        self.asked: list[Run] = []
        self.said = said
        self.gate: asyncio.Event | None = None
        self.fails: DirigentError | None = None
        self.left = 0

    async def answer(self, request: Request, run: Run) -> AsyncIterator[Event]:
        self.asked.append(run)
        run.record.deployment = "one"
        try:
            yield TextDelta(f"answer {len(self.asked)}")
            if self.gate is not None:
                await self.gate.wait()
            if self.fails is not None:
                raise self.fails
        except (GeneratorExit, asyncio.CancelledError):
            self.left += 1
            raise
        finally:
            run.record.settle(Usage(3, 2), Money.of("0.5"))
        for event in self.said or (Finished("stop"), UsageReported(Usage(3, 2))):
            yield event


def reuse(**settings: Any) -> Policy:
    kind, faults = READER.read(Policy, {"type": "reuse", **settings}, ())
    assert kind is not None, faults
    return kind


class Room:
    """A world with one policy around one model."""

    def __init__(self, *said: Event, cache: MemoryCache | None = None, **settings: Any) -> None:
        self.world = World({})
        self.world.ports = msgspec.structs.replace(self.world.ports, cache=cache or MemoryCache())
        self.model = Counting(*said)
        self.policy = reuse(**settings)

    def run(self, principal: Principal = PRINCIPAL, purpose: str | None = None, model: str = "m") -> Run:
        ports, catalog = self.world.ports, self.world.catalog
        return Run(f"run-{next(_numbers)}", model, catalog, ports, principal, 30.0, purpose=purpose)

    def answer(self, asked: Request | str = "hello", run: Run | None = None) -> Any:
        said = request(asked) if isinstance(asked, str) else asked
        return self.policy.answer(self.model, said, run or self.run())  # type: ignore[arg-type]  # it answers, and is never asked for more

    async def text(self, asked: Request | str = "hello", run: Run | None = None) -> str:
        return (await collect(self.answer(asked, run))).text


async def test_an_equal_request_gets_the_same_answer_and_pays_nothing() -> None:
    room, first, second = Room(), None, None
    first, second = room.run(), room.run()

    said = [await room.text(run=first), await room.text(run=second)]

    assert said == ["answer 1", "answer 1"]
    assert (first.record.reused, second.record.reused) == (None, first.id)
    assert (first.record.known_cost, second.record.known_cost) == (Money.of("0.5"), Money(0))
    assert second.record.usage == Usage(3, 2)
    assert second.record.deployment == "one"


@pytest.mark.parametrize(
    ("scope", "principal", "purpose", "shared"),
    [
        ("project", Principal("tenant", "project", "other"), None, True),
        ("project", Principal("tenant", "other", "key"), None, False),
        ("project", Principal("other", "project", "key"), None, False),
        ("project", PRINCIPAL, "contracts", False),
        ("tenant", Principal("tenant", "other", "other"), None, True),
        ("tenant", Principal("other", "project", "key"), None, False),
        ("tenant", PRINCIPAL, "contracts", False),
        ("key", Principal("tenant", "project", "other"), None, False),
        ("key", Principal("tenant", "project", "key", "ada"), None, True),
    ],
)
async def test_nothing_leaves_its_tenant_purpose_and_scope(
    scope: str, principal: Principal, purpose: str | None, *, shared: bool
) -> None:
    room = Room(scope=scope)

    said = [await room.text(run=room.run()), await room.text(run=room.run(principal, purpose))]

    assert said == ["answer 1", "answer 1" if shared else "answer 2"]


async def test_an_answer_is_not_given_again_when_its_time_is_over() -> None:
    now = [0.0]
    room = Room(cache=MemoryCache(clock=lambda: now[0]), ttl=60)

    said = [await room.text()]
    now[0] = 59.9
    said.append(await room.text())
    now[0] = 60.0
    said.append(await room.text())

    assert said == ["answer 1", "answer 1", "answer 2"]


async def test_only_what_cannot_vary_is_given_again_where_that_is_wanted() -> None:
    room = Room(only_deterministic=True)
    cold = request("hello", temperature=0.0)

    said = [await room.text(asked) for asked in ("hello", "hello", cold, cold)]

    assert said == ["answer 1", "answer 2", "answer 3", "answer 3"]


CALL = ToolCallDelta(0, "call_1", "weather", "{}")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ((TextDelta("Ja."), Finished("stop")), True),
        ((CALL, Finished("tool_calls")), True),
        ((TextDelta("Ja."), Finished("length")), False),
        ((TextDelta("Ja."), Finished("content_filter")), False),
        ((TextDelta("Ja."),), False),
        ((TextDelta("  "), Finished("stop")), False),
        ((Finished("stop"),), False),
        ((TextDelta("Ja."), RefusalDelta("No."), Finished("stop")), False),
        ((), False),
    ],
)
def test_what_was_cut_filtered_refused_or_empty_is_not_kept(said: Sequence[Event], *, kept: bool) -> None:
    assert lasting(said, request()) is kept


def test_of_several_choices_each_must_be_whole() -> None:
    said = (TextDelta("Ja.", 0), Finished("stop", 0), TextDelta("Nein.", 1))

    assert not lasting(said, request(choices=2))
    assert lasting((*said, Finished("stop", 1)), request(choices=2))


async def test_an_answer_that_broke_off_is_asked_for_again() -> None:
    room = Room()
    room.model.fails = Unavailable("gone")
    heard, error = await until_it_fails(room.answer())
    room.model.fails = None

    assert (heard, str(error)) == ([TextDelta("answer 1")], "gone")
    assert await room.text() == "answer 2"


async def test_equal_requests_at_once_share_one_answer_as_it_comes() -> None:
    room = Room()
    room.model.gate = asyncio.Event()
    runs = [room.run() for _ in range(5)]
    answers = [room.answer(run=run) for run in runs]

    first = [await anext(each) for each in answers]
    room.model.gate.set()
    rest = [[event async for event in each] for each in answers]

    assert first == [TextDelta("answer 1")] * 5
    assert rest == [[Finished("stop"), UsageReported(Usage(3, 2))]] * 5
    assert len(room.model.asked) == 1
    assert [run.record.reused for run in runs] == [None] + [runs[0].id] * 4
    assert [run.record.known_cost for run in runs] == [Money.of("0.5")] + [None] * 4


async def test_whoever_asked_first_may_leave_while_others_listen_and_the_next_one_pays() -> None:
    room = Room()
    room.model.gate = asyncio.Event()
    first, second = room.run(), room.run()
    left, stays = room.answer(run=first), room.answer(run=second)
    await anext(left)
    await anext(stays)

    await left.aclose()
    room.model.gate.set()
    rest = [event async for event in stays]

    assert rest == [Finished("stop"), UsageReported(Usage(3, 2))]
    assert room.model.left == 0
    assert (first.record.known_cost, second.record.known_cost) == (None, Money.of("0.5"))
    assert second.record.reused is None


async def test_when_the_last_listener_leaves_the_answer_is_given_up_at_once_and_paid() -> None:
    room = Room()
    room.model.gate = asyncio.Event()
    run, other = room.run(), room.run()
    async with aclosing(room.answer(run=run)) as one, aclosing(room.answer(run=other)) as two:
        await anext(one)
        await anext(two)

    assert room.model.left == 1
    assert [each.record.known_cost for each in (run, other)].count(Money.of("0.5")) == 1
    room.model.gate = None
    assert await room.text() == "answer 2"


async def test_what_fails_fails_for_all_who_share_it() -> None:
    room = Room()
    room.model.gate, room.model.fails = asyncio.Event(), Unavailable("gone")
    answers = [room.answer() for _ in range(3)]
    for each in answers:
        await anext(each)

    room.model.gate.set()
    errors = [(await until_it_fails(each))[1] for each in answers]

    assert [str(error) for error in errors] == ["gone"] * 3


async def test_one_runs_answers_and_a_whole_tenants_can_be_forgotten() -> None:
    cache = MemoryCache()
    room = Room(cache=cache)
    first = room.run()
    await room.text("one", first)
    await room.text("two")
    await room.text("three", room.run(Principal("other", "project", "key")))

    counted = [await cache.forget("other", first.id), await cache.forget("tenant", first.id)]
    counted += [await cache.forget("tenant"), await cache.forget("tenant")]

    assert counted == [0, 1, 1, 0]
    assert await room.text("three", room.run(Principal("other", "project", "key"))) == "answer 3"


@asynccontextmanager
async def streaming_vendor() -> AsyncIterator[tuple[World, list[bytes]]]:
    heard: list[bytes] = []
    data = frames(chunk({"role": "assistant"}), chunk({"content": "Guten "}), chunk({"content": "Tag"}, finish="stop"))

    async def manner(visit: Visit) -> None:
        while True:
            heard.append((await visit.request())[1])
            if b'"stream":true' in heard[-1]:
                said, kind = data + DONE, "text/event-stream"
            else:
                said, kind = msgspec.json.encode(answer(f"answer {len(heard)}")), "application/json"
            visit.say(head(content_type=kind) + f"{len(said):x}\r\n".encode() + said + b"\r\n0\r\n\r\n")

    async with provider(manner) as vendor:
        url = f"http://127.0.0.1:{vendor.origin.port}/v1"
        models: Mapping[str, Any] = {
            "m": {"type": "deployment", "provider": "p", "name": "x", "policies": [{"type": "reuse"}]}
        }
        yield World(models, {"p": {"type": "compatible", "base_url": url}}), heard


@pytest.mark.parametrize("stream", [b"true", b"false"])
async def test_a_providers_own_bytes_are_given_again_as_they_were(stream: bytes) -> None:
    body = b'{"model":"m","stream":%b,"messages":[{"role":"user","content":"hi"}],"user":"%b"}'
    async with streaming_vendor() as (world, heard):
        asked = [OpenAIChat().read_request(body % (stream, user)) for user in (b"ada", b"bob")]
        first, second = [await world.events("m", each) for each in asked]

    assert first == second != []
    assert len(heard) == 1


def keys(one: Request, other: Request, models: tuple[str, str] = ("m", "m")) -> tuple[bytes, bytes]:
    room = Room()
    return key_of(one, room.run(model=models[0])), key_of(other, room.run(model=models[1]))


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.5}, {"max_output": 7}, {"stop": ("a",)}, {"stop": ("a", "b")}, {"seed": 1}, {"choices": 2},
        {"stream": True}, {"task": "completions"}, {"dialect": "x"}, {"tools": (Tool("t"),)}, {"model": "n"},
        {"extra": {"grammar": msgspec.Raw(b'"x"')}}, {"previous": "resp_1"}, {"reasoning_effort": "low"},
        {"messages": (Message("user", (Text("hello"),), name="a"),)},
        {"messages": (Message("system", (Text("hello"),)),)},
        {"messages": (Message("user", (Text("hello"), Text(""))),)}, {"include_usage": True}, {"logprobs": True},
    ],
)  # fmt: skip
def test_whatever_matters_makes_another_key(changes: dict[str, Any]) -> None:
    one, other = keys(request(), msgspec.structs.replace(request(), **changes))

    assert one != other


def test_who_asks_makes_no_other_key_but_what_is_asked_of_another_model_does() -> None:
    told = {"metadata": msgspec.Raw(b'{"a":"b"}'), "safety_identifier": msgspec.Raw(b'"x"')}
    one, other = keys(request(), request(user="ada", extra=told))
    here, there = keys(request(), request(), ("m", "n"))

    assert one == other
    assert here != there


FIELDS = st.dictionaries(
    st.sampled_from(["model", "messages", "temperature", "tools", "x", "y"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
)


def marked(fields: dict[str, Any]) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "marker": fields}
    return OpenAIChat().read_request(msgspec.json.encode(body))


@given(FIELDS, FIELDS)
def test_two_bodies_share_a_key_only_if_they_say_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, right = keys(marked(one), marked(other))

    assert (left == right) == (msgspec.json.encode(one) == msgspec.json.encode(other))


async def test_ten_thousand_probes_across_tenants_and_purposes_hit_nothing() -> None:
    cache = MemoryCache()
    room = Room(cache=cache)
    await room.text("What is our margin?", room.run(Principal("acme", "sales", "k"), "reports"))
    parts = ["acme", "sales", "reports", "ACME", "ácme", "null", "k", "[", "]", '"', ",", '","', "\\", "\0", " ", ""]
    chance = Random(1)
    policy, hits = room.policy, 0
    assert isinstance(policy, Reuse)
    key = key_of(request("What is our margin?"), room.run())

    for _ in range(10_000):
        tenant, project, purpose = ("".join(chance.choices(parts, k=chance.randint(1, 3))) for _ in range(3))
        if (tenant, project, purpose) == ("acme", "sales", "reports"):
            continue
        run = room.run(Principal(tenant, project, "k"), purpose)
        hits += await cache.find(policy._partition(run), key) is not None

    assert hits == 0
    assert await cache.find(policy._partition(room.run(Principal("acme", "sales", "z"), "reports")), key) is not None
