"""Cheap ones first: whose answer is given, what is held back, and what is told and paid."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from dirigent.core.errors import InvalidConfiguration, NoCandidate
from dirigent.core.events import Verbatim
from dirigent.core.messages import Schema, Tool
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat import OpenAIChat
from tests.models.scripts import CUT, FAILED, SAID, one_after_the_other, scripted, told
from tests.upstream import DONE, chunk, frames, streaming
from tests.world import World, request, until_it_fails

ANSWER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
GOOD, BAD = '{"n": 1}', '{"n": "one"}'


def cascade(*candidates: str, verify: Any = ("structure",), **settings: Any) -> dict[str, Any]:
    strategy = {"type": "cascade", "verify": list(verify)}
    return {"auto": {"type": "router", "candidates": list(candidates), "strategy": strategy, **settings}}


def says(text: str) -> dict[str, Any]:
    return {"type": "echo", "says": text}


def structured(**fields: Any) -> Any:
    return request("count", "auto", structure=Schema(ANSWER), **fields)


def able(*names: str) -> dict[str, dict[str, Any]]:
    return {name: {"retries": 0, "price": {"input": 1, "output": 1}} for name in names}


async def test_a_cheap_answer_that_is_good_enough_is_given_and_nobody_else_is_asked() -> None:
    async with scripted(
        cascade("a", "b"), able("a", "b"), a=one_after_the_other(told(GOOD)), b=one_after_the_other(told())
    ) as world:
        run = world.run()
        response = await world.collect("auto", structured(), run)

    assert response.text == GOOD
    assert run.record.deployment == "a"
    assert world.vendors["b"].visits == []
    assert run.record.decisions[0].reason == "the answer of a is good enough: it has the form that was asked for"


async def test_one_that_is_not_is_held_back_paid_for_and_told_of() -> None:
    async with scripted(
        cascade("a", "b"), able("a", "b"), a=one_after_the_other(told(BAD)), b=one_after_the_other(told(GOOD))
    ) as world:
        run = world.run()
        response = await world.collect("auto", structured(), run)

    assert response.text == GOOD
    assert run.record.deployment == "b"
    assert run.record.usage == Usage(18, 8)
    assert run.record.known_cost is not None
    assert run.record.known_cost.nano == 26_000
    (decision,) = run.record.decisions
    assert decision.reason == "the answer of a is not good enough: n is not of type integer"
    assert decision.details["verdicts"] == {"a": "n is not of type integer"}


async def test_three_stages_go_up_as_far_as_they_must() -> None:
    manners = {name: one_after_the_other(told(text)) for name, text in (("a", BAD), ("b", GOOD), ("c", GOOD))}
    async with scripted(cascade("a", "b", "c"), able("a", "b", "c"), **manners) as world:
        run = world.run()
        await world.collect("auto", structured(), run)

    assert [attempt.model for attempt in run.record.attempts] == ["a", "b"]
    assert run.record.deployment == "b"


@pytest.mark.parametrize("fault", [FAILED, CUT])
async def test_one_that_fails_is_followed_by_the_next(fault: bytes) -> None:
    async with scripted(
        cascade("a", "b"), able("a", "b"), a=one_after_the_other(fault), b=one_after_the_other(told(BAD))
    ) as world:
        run = world.run()
        response = await world.collect("auto", structured(), run)

    assert response.text == BAD  # the last one's word stands
    assert run.record.deployment == "b"


async def test_an_answer_that_was_not_accepted_is_never_given_even_where_the_last_one_fails() -> None:
    async with scripted(
        cascade("a", "b"), able("a", "b"), a=one_after_the_other(told(BAD)), b=one_after_the_other(FAILED)
    ) as world:
        heard, error = await until_it_fails(world.answer("auto", structured()))

    assert heard == []
    assert isinstance(error, NoCandidate)
    assert "a: its answer was not accepted: n is not of type integer; b: " in error.message


async def test_a_caller_of_a_stream_hears_nothing_of_what_is_not_accepted_and_the_last_as_it_comes() -> None:
    broken = streaming(frames(chunk({"content": '{"n":'})), cut=True)
    last = streaming(SAID, frames(chunk(finish="stop")), DONE)
    asked = OpenAIChat().read_request(
        msgspec.json.encode({"model": "auto", "stream": True, "messages": [{"role": "user", "content": "count"}]})
    )
    async with scripted(cascade("a", "b"), able("a", "b"), a=broken, b=last) as world:
        said = await world.events("auto", asked)

    assert said
    assert all(isinstance(event, Verbatim) for event in said)
    assert b"Guten Tag" in b"".join(event.data for event in said if isinstance(event, Verbatim))


async def test_where_the_budget_of_tries_is_used_up_nobody_else_is_asked() -> None:
    async with scripted(
        cascade("a", "b"), able("a", "b"), a=one_after_the_other(told(BAD)), b=one_after_the_other(told(GOOD))
    ) as world:
        run = world.run()
        run.record.tries = 1
        _, error = await until_it_fails(world.answer("auto", structured(), run))

    assert "was not accepted" in error.message
    assert world.vendors["b"].visits == []


async def test_whoever_is_the_only_one_left_is_not_verified() -> None:
    async with scripted(
        cascade("a", "b"), able("a", "b"), a=one_after_the_other(told(BAD)), b=one_after_the_other(told())
    ) as world:
        world.vitals.told_to_wait("b", 60)
        response = await world.collect("auto", structured())

    assert response.text == BAD


async def test_a_tool_call_is_held_to_its_parameters() -> None:
    def calls(arguments: str) -> bytes:
        body = json.loads(told().partition(b"\r\n\r\n")[2])
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        body["choices"][0] |= {
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            "finish_reason": "tool_calls",
        }
        data = json.dumps(body).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)

    asked = request("count", "auto", tools=(Tool("f", parameters=ANSWER),))
    deployed = []
    for arguments in (GOOD, BAD, "{"):
        async with scripted(
            cascade("a", "b"), able("a", "b"), a=one_after_the_other(calls(arguments)), b=one_after_the_other(told())
        ) as world:
            run = world.run()
            await world.collect("auto", asked, run)
            deployed.append(run.record.deployment)

    assert deployed == ["a", "b", "b"]


# --- the other verifiers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "deployment", "why"),
    [
        (["Berlin.", "berlin", "It is Bonn"], "a", "2 of 3 samples say the same"),
        (["Berlin.", "Bonn", "It is Bonn"], "b", "1 of 3 samples say the same"),
    ],
)
async def test_a_model_that_says_the_same_again_is_believed(texts: list[str], deployment: str, why: str) -> None:
    a = one_after_the_other(*map(told, texts))
    async with scripted(
        cascade("a", "b", verify=["agreement"]), able("a", "b"), a=a, b=one_after_the_other(told("Paris"))
    ) as world:
        run = world.run()
        response = await world.collect("auto", "capital?", run)

    assert response.text == ("Berlin." if deployment == "a" else "Paris")
    assert run.record.deployment == deployment
    assert why in run.record.decisions[0].reason
    assert len([attempt for attempt in run.record.attempts if attempt.model == "a"]) == 3
    assert run.record.usage is not None
    assert run.record.usage.input_tokens == 9 * len(run.record.attempts)


async def test_samples_that_fail_agree_with_nothing() -> None:
    a = one_after_the_other(told("Berlin"), FAILED)
    async with scripted(
        cascade("a", "b", verify=["agreement"]), able("a", "b"), a=a, b=one_after_the_other(told())
    ) as world:
        run = world.run()
        await world.collect("auto", "capital?", run)

    assert run.record.deployment == "b"


async def test_meanings_may_agree_where_words_do_not() -> None:
    class Encoder:
        async def encode(self, texts: list[str], side: str = "query", scope: str = "") -> list[list[float]]:
            assert scope == "tenant"
            return [[1.0, 0.0] if "Berlin" in text else [0.0, 1.0] for text in texts]

    strict = [{"type": "agreement", "similarity": 0.9, "share": 1.0}]
    a = one_after_the_other(told("Berlin"), told("It is Berlin"), told("Berlin, of course"))
    async with scripted(cascade("a", "b", verify=strict), able("a", "b"), a=a, b=one_after_the_other(told())) as world:
        without = world.run()
        await world.collect("auto", "capital?", without)
    a = one_after_the_other(told("Berlin"), told("It is Berlin"), told("Berlin, of course"))
    async with scripted(cascade("a", "b", verify=strict), able("a", "b"), a=a, b=one_after_the_other(told())) as world:
        world.ports = msgspec.structs.replace(world.ports, embedder=Encoder())
        run = world.run()
        await world.collect("auto", "capital?", run)

    assert without.record.deployment == "b"  # no encoder, so the words are compared
    assert run.record.deployment == "a"


@pytest.mark.parametrize(
    ("reply", "deployment", "why"),
    [
        ("8 - fine", "a", "judge gave 8 of 10, and 7 is enough"),
        ("Score: 7, well", "a", "judge gave 7 of 10"),
        ("10", "a", "judge gave 10 of 10"),
        ("6. Wrong.", "b", "judge gave 6 of 10"),
        ("100 of 100", "b", "judge gave no mark"),
        ("I like it", "b", "judge gave no mark"),
    ],
)
async def test_a_judge_decides_by_a_mark(reply: str, deployment: str, why: str) -> None:
    models = {**cascade("a", "b", verify=[{"type": "judge", "model": "judge"}]), "judge": says(reply)}
    async with scripted(
        models, able("a", "b"), a=one_after_the_other(told("yes")), b=one_after_the_other(told("no"))
    ) as world:
        run = world.run()
        response = await world.collect("auto", "Is it so?", run)

    assert response.text == ("yes" if deployment == "a" else "no")
    assert run.record.deployment == deployment
    assert why in run.record.decisions[0].reason


async def test_a_judge_reads_the_question_and_the_answer() -> None:
    models = cascade("a", "b", verify=[{"type": "judge", "model": "judge"}])
    async with scripted(
        models | {"judge": {"type": "echo"}},
        able("a", "b"),
        a=one_after_the_other(told("yes it is")),
        b=one_after_the_other(told()),
    ) as world:
        judge: Any = world.catalog.models["judge"]
        heard: list[Any] = []
        world.catalog._inner["judge"] = Listening(judge, heard)
        await world.collect("auto", "Is it so?")

    text = heard[0].messages[-1].text
    assert "user: Is it so?" in text
    assert "<answer>\nyes it is\n</answer>" in text


async def test_a_judge_that_is_out_of_order_accepts_nothing() -> None:
    models = {
        **cascade("a", "b", verify=[{"type": "judge", "model": "judge"}]),
        "judge": {"type": "echo", "fails": True},
    }
    async with scripted(
        models, able("a", "b"), a=one_after_the_other(told("yes")), b=one_after_the_other(told("no"))
    ) as world:
        run = world.run()
        response = await world.collect("auto", "Is it so?", run)

    assert response.text == "no"
    assert "could not be verified (judge)" in run.record.decisions[0].reason


def test_a_judge_is_a_model_that_exists_and_does_not_judge_itself_in_a_circle() -> None:
    for judge in ("jugde", "auto"):
        with pytest.raises(InvalidConfiguration) as raised:
            World({**cascade("a", "b", verify=[{"type": "judge", "model": judge}]), "a": says("a"), "b": says("b")})
        (finding,) = raised.value.findings
        assert "no model 'jugde'" in finding.message or "without end" in finding.message


async def test_explaining_a_cascade_asks_nobody() -> None:
    async with scripted(
        cascade("a", "b"), able("a", "b"), a=one_after_the_other(told()), b=one_after_the_other(told())
    ) as world:
        (decision,) = await world.run().explain("auto", structured())

    assert (decision.chosen, decision.strategy) == ("a", "cascade")
    assert world.vendors["a"].visits == []


class Listening:
    """A model with somebody who notes what it is asked."""

    def __init__(self, model: Any, heard: list[Any]) -> None:
        self._model = model
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def answer(self, request: Any, run: Any) -> Any:
        self._heard.append(request)
        return self._model.answer(request, run)
