"""What holds for every kind of verifier."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dirigent.core.messages import Choice, Message, Request, Response, Schema, Text, Tool, ToolCall
from dirigent.models.verifiers import VERIFIERS
from dirigent.models.verifiers.verifier import Verdict, Verifier
from tests.world import READER, World, request

EXAMPLES: dict[str, dict[str, Any]] = {
    "structure": {},
    "agreement": {"samples": 2, "share": 1.0},
    "judge": {"model": "judge", "mark": 5},
}
"""A configuration for each kind; the models `m` and `judge` only echo."""

every_verifier = pytest.mark.parametrize("kind", sorted(VERIFIERS.kinds))

parts = some.lists(
    some.builds(Text, some.text(max_size=20))
    | some.builds(ToolCall, some.text(max_size=3), some.sampled_from(["f", "g", ""]), some.text(max_size=9)),
    max_size=3,
)
responses = some.lists(
    some.builds(
        lambda said, finish: Choice(Message("assistant", tuple(said)), finish),
        parts,
        some.sampled_from([None, "stop", "length", "tool_calls", "content_filter"]),
    ),
    max_size=2,
).map(lambda choices: Response(tuple(choices)))
requests = some.builds(
    lambda text, structure, tools: request(text, structure=structure, tools=tools),
    some.text(max_size=20),
    some.none() | some.just(Schema()) | some.just(Schema({"type": "object", "required": ["a"]})),
    some.sampled_from([(), (Tool("f"),), (Tool("f", parameters={"type": "object", "required": ["a"]}),)]),
)


def verifier(kind: str) -> Verifier:
    read, faults = READER.read(Verifier, {"type": kind, **EXAMPLES[kind]}, ())
    assert read is not None, faults
    return read


def test_every_kind_has_an_example_here() -> None:
    assert EXAMPLES.keys() == VERIFIERS.kinds.keys()


@every_verifier
@settings(max_examples=40)
@given(asked=requests, given=responses)
def test_it_judges_whatever_is_said_in_words_for_people(kind: str, asked: Request, given: Response) -> None:
    verdict = asyncio.run(judged(verifier(kind), asked, given))

    assert isinstance(verdict, Verdict)
    assert verdict.why


async def judged(kind: Verifier, asked: Request, given: Response) -> Verdict:
    world = World({"m": {"type": "echo"}, "judge": {"type": "echo", "says": "9, good"}})
    return await kind.verdict(asked, given, "m", world.run())


@every_verifier
async def test_whoever_it_asks_is_settled_and_does_not_pass_for_the_one_who_answers(kind: str) -> None:
    world = World({"m": {"type": "echo"}, "judge": {"type": "echo", "says": "9, good"}})
    run = world.run()
    run.record.deployment = "candidate"

    await verifier(kind).verdict(
        request(), Response((Choice(Message("assistant", (Text("hello"),)), "stop"),)), "m", run
    )

    assert run.record.deployment == "candidate"
    assert (run.record.usage is None) == (run.record.attempts == [])


@every_verifier
def test_its_configuration_survives_a_round_trip_through_json(kind: str) -> None:
    one = verifier(kind)

    again, _ = READER.read(Verifier, {"type": kind, **msgspec.json.decode(msgspec.json.encode(one))}, ())

    assert again == one


@every_verifier
def test_it_says_what_it_does_and_whom_it_asks(kind: str) -> None:
    assert len(VERIFIERS.kinds[kind].help()) > 40
    assert all(name == EXAMPLES[kind]["model"] for _, name in verifier(kind).mentions())
