"""A router: who is ruled out, who is asked next, and which error comes out when nobody answers."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from dirigent.core.errors import (
    DirigentError,
    InvalidConfiguration,
    Misconfigured,
    NoCandidate,
    RateLimited,
    Rejected,
    TooLong,
    Unavailable,
    Unsupported,
)
from dirigent.core.events import Finished, TextDelta
from dirigent.core.messages import Image, Message, Request, Schema, Tool
from dirigent.core.run import Attempt, Record
from tests.net.providers import Manner, provider
from tests.upstream import answer, chunk, frames, refusing, streaming, whole
from tests.world import World, request

SLOW = {"error": {"message": "slow down"}}
LONG = {"error": {"message": "too many tokens", "code": "context_length_exceeded"}}


def echo(says: str | None = None, *, fails: bool = False) -> dict[str, Any]:
    return {"type": "echo", "says": says, "fails": fails}


def router(*candidates: str, **settings: Any) -> dict[str, Any]:
    return {"type": "router", "candidates": list(candidates), **settings}


async def refused(world: World, asked: Request | str = "hello", model: str = "auto") -> DirigentError:
    """What asking raises."""
    with pytest.raises(DirigentError) as raised:
        await world.events(model, asked)
    return raised.value


async def joint(*manners: Manner, **deployment: Any) -> DirigentError:
    """What a router raises whose candidates a, b, c … stand at providers of these manners."""
    names = "abc"[: len(manners)]
    async with provider(manners[0]) as one, provider(manners[len(manners) > 1]) as two, provider(manners[-1]) as three:
        at = {
            name: {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}
            for name, vendor in zip(names, (one, two, three), strict=False)
        }
        models = {
            name: {"type": "deployment", "provider": name, "name": "x", "retries": 0, **deployment} for name in names
        }
        return await refused(World({**models, "auto": router(*names)}, at))


# --- order and fallback -----------------------------------------------------------------------------------------------


async def test_the_first_candidate_answers_and_nobody_else_is_asked() -> None:
    world = World({"a": echo("from a"), "b": echo("from b"), "auto": router("a", "b")})
    run = world.run()

    response = await world.collect("auto", "hello", run)

    assert response.text == "from a"
    assert [attempt.model for attempt in run.record.attempts] == ["a"]


async def test_a_failure_before_the_first_event_goes_on_to_the_next() -> None:
    world = World({"a": echo(fails=True), "b": echo(fails=True), "c": echo("from c"), "auto": router("a", "b", "c")})
    run = world.run()

    response = await world.collect("auto", "hello", run)

    assert response.text == "from c"
    assert [(each.model, each.outcome) for each in run.record.attempts] == [
        ("a", "unavailable"),
        ("b", "unavailable"),
        ("c", "answered"),
    ]


async def test_a_failure_after_the_first_event_is_never_continued_by_another_voice() -> None:
    async with provider(streaming(frames(chunk({"content": "half"})), cut=True)) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        world = World(
            {"a": {"type": "deployment", "provider": "p", "name": "x"}, "b": echo(), "auto": router("a", "b")}, at
        )
        async with aclosing(world.answer("auto", request(stream=True))) as events:
            first = await anext(events)
            with pytest.raises(Unavailable):
                await anext(events)

    assert first == TextDelta("half")


async def test_a_fault_of_the_request_is_not_tried_elsewhere() -> None:
    error = await joint(refusing(400, {"error": {"message": "bad tool"}}), whole(answer()))

    assert isinstance(error, Rejected)


async def test_fallbacks_are_asked_after_every_candidate_and_in_order() -> None:
    world = World(
        {
            "a": echo(fails=True),
            "b": echo(fails=True),
            "c": echo(fails=True),
            "d": echo("from d"),
            "auto": router("a", "b", fallback=["c", "d"], strategy={"type": "weighted", "weights": {"b": 1}}),
        }
    )
    run = world.run()

    response = await world.collect("auto", "hello", run)

    assert response.text == "from d"
    assert [attempt.model for attempt in run.record.attempts] == ["b", "a", "c", "d"]


async def test_routers_nest_and_all_decisions_are_kept() -> None:
    world = World(
        {
            "a": echo(fails=True),
            "b": echo(fails=True),
            "c": echo("from c"),
            "inner": router("a", "b"),
            "outer": router("inner", "c"),
        }
    )
    run = world.run()

    response = await world.collect("outer", "hello", run)

    assert response.text == "from c"
    assert [decision.router for decision in run.record.decisions] == ["outer", "inner"]
    assert [attempt.model for attempt in run.record.attempts] == ["a", "b", "c"]


async def test_an_answer_without_a_single_event_counts_as_a_failure() -> None:
    error = await joint(streaming(b": nothing\n\n"), streaming(b""))

    assert isinstance(error, NoCandidate)


# --- hard constraints -------------------------------------------------------------------------------------------------

ABLE = ["tools", "images", "json", "audio", "files"]


@pytest.mark.parametrize(
    ("lacks", "asked"),
    [
        ("tools", request(tools=(Tool("f"),))),
        ("json", request(structure=Schema())),
        ("images", request(said=[Message("user", (Image("data:,"),))])),
    ],
)
async def test_who_lacks_what_the_request_needs_is_ruled_out(lacks: str, asked: Request) -> None:
    world = two(weak={"capabilities": [each for each in ABLE if each != lacks]}, strong={"capabilities": ABLE})
    alone = two(weak={"capabilities": []}, strong={"capabilities": []})

    (decision,) = await world.run().explain("auto", asked)
    error = await refused(alone, asked)

    assert decision.chosen == "strong"
    assert [each.verdict for each in decision.candidates] == ["chosen", f"ruled out: it lacks {lacks}"]
    assert isinstance(error, Unsupported)
    assert error.code == "unsupported"
    assert f"weak: ruled out: it lacks {lacks}" in error.message


async def test_who_has_no_room_for_the_prompt_is_ruled_out() -> None:
    world = two(weak={"context_window": 100}, strong={})

    (long,) = await world.run().explain("auto", request("word " * 200))
    (short,) = await world.run().explain("auto", request("word"))

    assert long.chosen == "strong"
    assert long.candidates[1].verdict == "ruled out: about 250 tokens do not fit its window of 100"
    assert short.chosen == "weak"


async def test_a_prompt_for_which_nobody_has_room_is_too_long_and_not_unsupported() -> None:
    world = two(weak={"context_window": 100}, strong={"context_window": 200})

    error = await refused(world, "word " * 200)

    assert isinstance(error, TooLong)
    assert (error.code, error.param) == ("context_length_exceeded", "messages")


async def test_what_nobody_knows_rules_nobody_out() -> None:
    world = two(weak={}, strong={})

    (decision,) = await world.run().explain("auto", request("word " * 9_000, tools=(Tool("f"),), logprobs=True))

    assert [each.verdict for each in decision.candidates] == ["chosen", "fallback 1"]


async def test_who_rests_is_skipped_and_tried_again_when_all_rest() -> None:
    world = World({"a": echo("from a"), "b": echo("from b"), "auto": router("a", "b")})

    for _ in range(3):
        world.vitals.failed("a")
    one_rests = await world.collect("auto")
    for _ in range(3):
        world.vitals.failed("b")
    all_rest = await world.collect("auto")

    assert (one_rests.text, all_rest.text) == ("from b", "from a")


async def test_a_fallback_takes_over_where_no_candidate_can() -> None:
    world = two(weak={"capabilities": []}, strong={"capabilities": ["tools"]}, fallback=True)

    (decision,) = await world.run().explain("auto", request(tools=(Tool("f"),)))

    assert decision.chosen == "strong"
    assert "the fallbacks are asked" in decision.reason


def two(weak: dict[str, Any], strong: dict[str, Any], *, fallback: bool = False) -> World:
    """A world with a router over two deployments that nobody reaches."""
    at = {"type": "deployment", "provider": "p", "name": "x"}
    auto = router("weak", fallback=["strong"]) if fallback else router("weak", "strong")
    return World(
        {"weak": at | weak, "strong": at | strong, "auto": auto}, {"p": {"type": "compatible", "vendor": "vllm"}}
    )


# --- joint errors -----------------------------------------------------------------------------------------------------


async def test_a_single_candidates_error_is_its_own() -> None:
    error = await joint(refusing(429, SLOW, retry_after="3"))

    assert isinstance(error, RateLimited)
    assert (error.message, error.retry_after) == ("the provider asks to slow down: slow down", 3)


async def test_where_all_ask_to_slow_down_the_soonest_counts() -> None:
    error = await joint(
        refusing(429, SLOW, retry_after="9"), refusing(429, SLOW), refusing(429, SLOW, retry_after_ms="2500")
    )

    assert isinstance(error, RateLimited)
    assert error.retry_after == 2.5


async def test_where_the_prompt_fits_nowhere_it_is_too_long() -> None:
    error = await joint(refusing(400, LONG), refusing(400, LONG))

    assert isinstance(error, TooLong)
    assert error.param == "messages"


async def test_where_all_are_set_up_wrongly_another_try_is_not_worth_it() -> None:
    error = await joint(refusing(401), refusing(404))

    assert isinstance(error, Misconfigured)
    assert not error.retryable


async def test_different_failures_are_told_one_by_one() -> None:
    error = await joint(refusing(401), refusing(503, SLOW, retry_after="4"), refusing(400, LONG))

    assert isinstance(error, NoCandidate)
    assert error.retryable
    assert error.retry_after == 4
    assert (
        "a: the provider refuses our credentials (status 401); b: the provider failed (status 503): slow down; c:"
        in (error.message)
    )


async def test_who_could_never_take_it_does_not_hide_that_the_others_ask_to_slow_down() -> None:
    async with provider(refusing(429, SLOW, retry_after="5")) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        deployment = {"type": "deployment", "provider": "p", "name": "x", "retries": 0}
        world = World({"a": deployment | {"capabilities": []}, "b": deployment, "auto": router("a", "b")}, at)

        error = await refused(world, request(tools=(Tool("f"),)))

    assert isinstance(error, RateLimited)
    assert error.retry_after == 5


# --- the decision, in words -------------------------------------------------------------------------------------------


async def test_the_route_says_who_answered_in_the_place_of_whom() -> None:
    world = World({"a": echo(fails=True), "b": echo("from b"), "auto": router("a", "b")})
    straight, detoured, lost = world.run(), world.run(), Record()

    await world.collect("b", "hello", straight)
    await world.collect("auto", "hello", detoured)
    lost.decisions = detoured.record.decisions
    lost.attempts = [Attempt("a", "timeout", 1.0)]

    assert straight.record.route is None
    assert detoured.record.route == (
        "b answers, for a (unavailable) failed; before that: a stands first in the configuration"
    )
    assert lost.route == "nobody answers, for a (timeout) failed; before that: a stands first in the configuration"


async def test_the_route_of_a_first_choice_is_the_rule_that_decided() -> None:
    world = World({"a": echo(), "b": echo(), "auto": router("a", "b")})
    run = world.run()

    events = await world.events("auto", "hello", run)

    assert Finished("stop") in events
    assert run.record.route == "a stands first in the configuration"


async def test_explaining_asks_nobody() -> None:
    world = World({"a": echo(fails=True), "inner": router("a"), "outer": router("inner")})
    run = world.run()

    decisions = await run.explain("outer", request())

    assert [(decision.router, decision.chosen) for decision in decisions] == [("outer", "inner"), ("inner", "a")]
    assert run.record.attempts == []


@pytest.mark.parametrize("strategy", ["complexity", "cheapest"])
async def test_a_decision_on_the_way_to_an_answer_is_the_one_that_an_explanation_tells(strategy: str) -> None:
    models = {"a": echo("from a"), "b": echo("from b"), "c": echo("from c")}
    world = World({**models, "auto": router("a", "b", fallback=["c"], strategy=strategy)})
    asked = request("Compare both offers, and prove in 3 steps which is cheaper; it must be exact.")
    run = world.run()

    told = [decision.asdict() for decision in await run.explain("auto", asked)]
    await world.collect("auto", asked, run)

    found = [decision.asdict() for decision in run.record.decisions]
    for decision in (*told, *found):
        decision.pop("microseconds")
    assert found == told


async def test_a_decision_tells_of_the_time_in_which_it_was_taken() -> None:
    world = World({"a": echo("from a"), "b": echo("from b"), "auto": router("a", "b", strategy="complexity")})
    run = world.run()

    await world.collect("auto", request(), run)
    world.ports.vitals.succeeded("a", 1.0, 2.0, 10)

    assert [each.latency for each in run.record.decisions[0].candidates] == [None, None]


def test_a_model_named_twice_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        World({"a": echo(), "b": echo(), "c": echo(), "auto": router("a", "b", "a", fallback=["b", "c", "c"])})

    assert [(finding.dotted(), finding.message) for finding in raised.value.findings] == [
        ("models.auto.candidates[2]", "'a' is already a candidate"),
        ("models.auto.fallback[0]", "'b' is already a candidate, and as such asked before"),
        ("models.auto.fallback[2]", "'c' is already a fallback"),
    ]


async def test_where_one_candidate_alone_can_answer_nothing_is_measured_and_an_explanation_still_measures() -> None:
    world = World({"one": echo("one"), "auto": router("one", strategy="complexity")})
    run = world.run()

    await world.events("auto", run=run)
    (explained,) = await world.run().explain("auto", request("hello", "auto"))

    (decided,) = run.record.decisions
    assert decided.chosen == explained.chosen == "one"
    assert decided.reason == "one is the only candidate that can take this request"
    assert decided.features == {}
    assert explained.features["words"] == 1
