"""A conversation stays where something binds it, and what binds it goes to nobody else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from dirigent.core.events import Answer
from dirigent.core.identity import Principal
from dirigent.core.messages import Message, Reasoning, Request, Text, ToolCall
from dirigent.core.run import Run
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.models.bonds import keep, kept_by, seals, unsealed, warm_at, warmed
from dirigent.models.deployment import Deployment
from tests.models.scripts import FAILED, SAID, one_after_the_other, scripted, told
from tests.upstream import DONE, chunk, frames, streaming
from tests.world import World, request, until_it_fails

THOUGHT = Reasoning("hm", signature="sig-1", issuer="anthropic_messages")
SEALED = Reasoning("", sealed="blob-1", issuer="openai_responses")
CALL = ToolCall("c1", "f", "{}", signature="sig-2")


def conversation(*parts: Any, **fields: Any) -> Request:
    """A second turn, after an answer of these parts."""
    said = [Message("user", (Text("one"),)), Message("assistant", (*parts, Text("two")))]
    return request("three", "auto", said=said, **fields)


def router(*candidates: str, **settings: Any) -> dict[str, Any]:
    return {"type": "router", "candidates": list(candidates), **settings}


def placed(world: World, *models: str) -> Run:
    """A run in which these models, the outermost first, have been asked."""
    run = world.run()
    for model in models:
        run = run._child(model)
    return run


def overhear(world: World, sent: list[Request]) -> None:
    """Notes each request as it comes to a deployment."""
    for name, model in world.catalog.models.items():
        if isinstance(model, Deployment):
            world.catalog._inner[name] = Overheard(model, sent)


class Overheard:
    """A deployment with somebody who listens at its door."""

    def __init__(self, model: Deployment, sent: list[Request]) -> None:
        self._model = model
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def answer(self, request: Request, run: Run) -> Answer:
        self._sent.append(request)
        return self._model.answer(request, run)


def three(models: Mapping[str, Any] | None = None, **manners: Any) -> Any:
    answering = {name: one_after_the_other(told(f"from {name}")) for name in "abc"} | manners
    return scripted(models or {"auto": router("a", "b", "c")}, **answering)


# --- what is bound ----------------------------------------------------------------------------------------------------


def test_seals_are_found_the_latest_last_and_taken_out_without_a_word_of_the_text() -> None:
    asked = conversation(THOUGHT, SEALED, CALL)

    bare = unsealed(asked)

    assert list(seals(asked)) == ["sig-1", "blob-1", "sig-2"]
    assert list(seals(bare)) == []
    assert bare.messages[1].parts == (Reasoning("hm"), ToolCall("c1", "f", "{}"), Text("two"))
    assert bare.wire is None


def test_what_has_no_seals_stays_as_it_came() -> None:
    asked = conversation(Reasoning("hm"))

    assert unsealed(asked) is asked


def test_nobody_knows_the_seals_of_another_tenant() -> None:
    world = World({"a": {"type": "echo"}})
    ours, theirs = placed(world, "auto", "a"), placed(world, "auto", "a")
    theirs.principal = Principal("other", "project", "key")
    keep("sig-1", ours)
    warmed(request("one"), ours, "a")

    assert kept_by(conversation(THOUGHT), ours) == ["a", "auto", ""]
    assert kept_by(conversation(THOUGHT), theirs) == ()
    assert warm_at(conversation(), theirs, 60) is None


# --- by whom it is answered -------------------------------------------------------------------------------------------


async def test_who_sealed_its_thoughts_is_asked_again_whatever_the_order() -> None:
    async with three() as world:
        keep("sig-1", placed(world, "auto", "c"))
        run = world.run()
        response = await world.collect("auto", conversation(THOUGHT), run)

    assert response.text == "from c"
    assert run.record.decisions[0].reason.startswith("c sealed what it thought")


async def test_a_router_within_a_router_is_found_by_the_deployment_behind_it() -> None:
    models = {"inner": router("b", "c"), "outer": router("a", "inner")}
    async with three(models) as world:
        keep("sig-1", placed(world, "outer", "inner", "c"))
        response = await world.collect("outer", conversation(THOUGHT))

    assert response.text == "from c"


async def test_where_the_model_must_change_the_seals_stay_behind() -> None:
    sent: list[Request] = []
    async with three(a=one_after_the_other(FAILED)) as world:
        keep("sig-1", placed(world, "auto", "a"))
        overhear(world, sent)
        response = await world.collect("auto", conversation(THOUGHT))

    assert response.text == "from b"
    assert [list(seals(each)) for each in sent] == [["sig-1"], []]


async def test_seals_of_which_nobody_knows_go_to_the_first_and_to_no_other() -> None:
    sent: list[Request] = []
    async with three(a=one_after_the_other(FAILED), b=one_after_the_other(FAILED)) as world:
        overhear(world, sent)
        await world.collect("auto", conversation(THOUGHT))

    assert [list(seals(each)) for each in sent] == [["sig-1"], [], []]


async def test_a_conversation_that_a_provider_keeps_goes_to_nobody_else() -> None:
    async with three(b=one_after_the_other(told("no", 404))) as world:
        keep("resp_1", placed(world, "auto", "b"))
        (decision,) = await world.run().explain("auto", conversation(previous="resp_1"))
        run = world.run()
        await until_it_fails(world.answer("auto", conversation(previous="resp_1"), run))

    assert decision.chosen == "b"
    assert [each.verdict for each in decision.candidates][1:] == [
        "ruled out: b keeps the conversation that is continued"
    ] * 2
    assert [attempt.model for attempt in run.record.attempts] == ["b"]


async def test_it_is_asked_even_while_it_rests_for_nobody_else_could_go_on() -> None:
    async with three() as world:
        keep("resp_1", placed(world, "auto", "b"))
        world.vitals.told_to_wait("b", 60)
        (decision,) = await world.run().explain("auto", conversation(previous="resp_1"))

    assert decision.chosen == "b"
    assert decision.reason == "all that can take this request rest, b the shortest"


# --- who remembers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_seals_are_learnt_from_answers_that_go_through_unread(
    monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    asked = OpenAIChat().read_request(
        msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": stream})
    )
    monkeypatch.setattr(OpenAIChat, "seals", re.compile(rb'"id":\s*"(chatcmpl-[^"]+)"'))
    answering = streaming(SAID, frames(chunk(finish="stop")), DONE) if stream else one_after_the_other(told())
    async with three(a=answering) as world:
        await world.events("auto", asked)
        names = kept_by(conversation(previous="chatcmpl-1"), world.run())

    assert names == ["a", "auto", ""]


# --- prompt caches ----------------------------------------------------------------------------------------------------


async def test_among_equals_the_one_that_read_the_conversation_last_is_asked_again() -> None:
    async with three({"auto": router("a", "b", "c", strategy="least_busy")}) as world:
        first = request("one", "auto")
        said = {(await world.collect("auto", first)).text for _ in range(1)}
        again = [(await world.collect("auto", conversation())).text for _ in range(1)]
        run = world.run()
        await world.collect("auto", conversation(), run)

    assert set(again) == said
    assert run.record.deployment == said.pop().removeprefix("from ")


async def test_a_strategy_that_calls_nobody_equal_is_obeyed() -> None:
    async with three() as world:
        world.vitals.told_to_wait("a", 0.5)
        first = await world.collect("auto", request("one", "auto"))
        await asyncio.sleep(0.6)
        second = await world.collect("auto", conversation())

    assert (first.text, second.text) == ("from b", "from a")


async def test_without_warmth_nobody_is_preferred() -> None:
    async with three({"auto": router("a", "b", "c", strategy="least_busy", warm=0)}) as world:
        texts = set()
        for _ in range(12):
            await world.collect("auto", request("one", "auto"))
            texts.add((await world.collect("auto", conversation())).text)

    assert len(texts) > 1
