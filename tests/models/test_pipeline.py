"""Somebody publishes a pipeline and asks it, as any other model."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from dirigent.core.errors import BadAnswer, Invalid, InvalidConfiguration, Overrun, TimedOut, Unavailable, Unsupported
from dirigent.core.events import Finished, TextDelta, UsageReported
from dirigent.core.journal import LeftOut, StepEnded, StepFailed
from dirigent.core.messages import Message, Text
from dirigent.core.run import Run
from tests.world import World, request

ECHO = {"type": "echo"}


def world(*steps: dict[str, Any], models: dict[str, Any] | None = None, **settings: Any) -> World:
    """A world in which the pipeline `p` has these steps; `e` says what it is asked."""
    return World({"e": ECHO, **(models or {}), "p": {"type": "pipeline", "steps": list(steps), **settings}})


def refused(*steps: dict[str, Any], **settings: Any) -> dict[str, str]:
    """What publishing says against a pipeline of these steps, by its path."""
    with pytest.raises(InvalidConfiguration) as caught:
        world(*steps, **settings)
    return {finding.dotted(): finding.message for finding in caught.value.findings}


def ended(run: Run) -> list[str]:
    """The paths of the steps that ended in a run, in that order."""
    assert run.logbook is not None
    return [entry.path for entry in run.logbook.entries if isinstance(entry, StepEnded)]


async def test_each_step_reads_the_input_and_those_before_it_and_the_last_one_is_the_answer() -> None:
    small = world(
        {"type": "set", "name": "order", "values": {"count": 3, "price": "{{ number('12.50') }}"}},
        {
            "type": "calculate",
            "name": "sums",
            "values": {"net": "order.count * order.price", "tax": "round(net * 0.19, 2)"},
        },
        {
            "type": "prompt",
            "name": "letter",
            "model": "e",
            "prompt": "{{ input.text }}: {{ sums.tax | money('EUR', 'de') }}",
        },
    )
    run = small.run()

    response = await small.collect("p", "Dear Sir", run)

    assert response.text == "Dear Sir: 7,12\N{NO-BREAK SPACE}€"
    assert ended(run) == ["order", "sums", "letter"]


async def test_what_is_structured_goes_out_as_json_to_the_digit() -> None:
    small = world(
        {"type": "calculate", "name": "sums", "values": {"net": "12.50 * 3"}},
        result={"total": "{{ sums.net }}", "words": "{{ sums.net }} EUR", "by": "{{ run.model }}"},
    )

    response = await small.collect("p")

    assert response.text == '{"total":37.50,"words":"37.50 EUR","by":"p"}'


async def test_the_input_is_a_json_object_where_a_schema_says_so() -> None:
    schema = {
        "type": "object",
        "properties": {"count": {"type": "integer"}, "note": {"type": "string"}},
        "required": ["count"],
    }
    small = world({"type": "calculate", "name": "c", "values": {"twice": "input.count * 2"}}, input=schema)

    assert json.loads((await small.collect("p", '{"count": 21}')).text) == {"twice": 42}
    with pytest.raises(Invalid, match=r"input\.count: .*integer.*; input\.note: "):
        await small.collect("p", '{"count": "many", "note": 1}')
    with pytest.raises(Invalid, match="JSON object"):
        await small.collect("p", "forty-two")


async def test_a_result_that_does_not_fit_its_schema_is_no_answer() -> None:
    small = world(
        {"type": "set", "name": "s", "values": {"total": "much"}},
        output={"type": "object", "properties": {"total": {"type": "number"}}},
    )

    with pytest.raises(BadAnswer, match=r"result\.total: .*number"):
        await small.collect("p")


async def test_the_words_of_a_last_step_go_out_as_they_come_and_are_the_answer_that_is_not_streamed() -> None:
    small = world({"type": "prompt", "name": "a", "model": "e", "prompt": "one two three"})

    whole = await small.events("p")
    streamed = await small.events("p", request(model="p", stream=True))

    assert [event.text for event in streamed if isinstance(event, TextDelta)] == ["one", " two", " three"]
    assert [event.text for event in whole if isinstance(event, TextDelta)] == ["one two three"]
    assert [type(event) for event in streamed[-2:]] == [Finished, UsageReported]
    assert whole[-2:] == streamed[-2:]


async def test_a_stream_that_is_left_ends_the_walk() -> None:
    small = world(
        {"type": "prompt", "name": "a", "model": "slow", "prompt": "one two"}, models={"slow": {**ECHO, "pause": 0.01}}
    )
    run = small.run()
    answer = small.answer("p", request(model="p", stream=True), run)

    first = await anext(answer)
    await answer.aclose()

    assert first == TextDelta("one")
    assert run.record.attempts == []


async def test_a_branch_walks_the_first_case_that_holds_and_no_other() -> None:
    def way(name: str) -> list[dict[str, Any]]:
        return [{"type": "set", "name": name, "values": {"took": name}}]

    small = world(
        {
            "type": "branch",
            "name": "b",
            "cases": [
                {"when": "input.text == 'x'", "steps": way("first")},
                {"when": "input.text.startsWith('x')", "steps": way("second")},
            ],
            "otherwise": way("third"),
        },
    )

    took = {text: json.loads((await small.collect("p", text)).text)["took"] for text in ("x", "xy", "y")}

    assert took == {"x": "first", "xy": "second", "y": "third"}


async def test_ways_are_walked_at_once_and_none_sees_what_another_does() -> None:
    small = world(
        {
            "type": "parallel",
            "name": "both",
            "branches": {
                "left": [{"type": "ask", "name": "s", "model": "slow"}],
                "right": [{"type": "set", "name": "s", "values": {"x": 1}}],
            },
        },
        models={"slow": {**ECHO, "pause": 0.01}},
    )

    assert json.loads((await small.collect("p", "a b")).text) == {"left": "a b", "right": {"x": 1}}


async def test_the_first_failure_ends_its_siblings_at_once() -> None:
    small = world(
        {
            "type": "parallel",
            "name": "both",
            "branches": {
                "slow": [{"type": "ask", "name": "a", "model": "slow"}],
                "bad": [{"type": "ask", "name": "a", "model": "bad"}],
            },
        },
        models={"slow": {**ECHO, "pause": 30}, "bad": {**ECHO, "fails": True}},
    )
    run = small.run()

    with pytest.raises(Unavailable, match="bad"):
        await small.collect("p", "hello", run)

    assert [attempt.model for attempt in run.record.attempts] == ["bad"]


async def test_a_step_whose_condition_does_not_hold_is_left_out_and_is_absent() -> None:
    small = world(
        {"type": "set", "name": "a", "when": "size(input.text) > 100", "values": {"x": 1}},
        {"type": "set", "name": "b", "values": {"there": "{{ has(a) }}", "x": "{{ a.x }}"}},
    )

    assert json.loads((await small.collect("p")).text) == {"there": False, "x": None}


async def test_a_step_that_is_left_out_leaves_a_word_in_the_trace_with_its_condition_wherever_it_stands() -> None:
    inner = [{"type": "prompt", "name": "letter", "when": "item > 1", "model": "e", "prompt": "{{ item }}"}]
    small = world(
        {"type": "set", "name": "a", "when": "size(input.text) > 100", "values": {"x": 1}},
        {"type": "map", "name": "each", "over": "[1, 2]", "steps": inner},
        {"type": "set", "name": "z", "when": "has(a)", "values": {"x": 1}},
    )
    run = small.run()

    await small.collect("p", "short", run)

    assert run.logbook is not None
    left_out = [entry for entry in run.logbook.entries if isinstance(entry, LeftOut)]
    assert [(entry.path, entry.step, entry.when) for entry in left_out] == [
        ("a", "set", "size(input.text) > 100"),
        ("each/1/letter", "prompt", "item > 1"),
        ("z", "set", "has(a)"),
    ]
    assert ended(run) == ["each/2/letter", "each"]


async def test_a_step_is_tried_again_after_what_may_pass_and_not_after_anything_else() -> None:
    steps = {"type": "ask", "name": "a", "model": "bad", "retry": {"tries": 3, "wait": 0}}
    small = world(steps, models={"bad": {**ECHO, "fails": True}})
    picky = world(
        {**steps, "retry": {"tries": 3, "wait": 0, "on": ["timeout"]}}, models={"bad": {**ECHO, "fails": True}}
    )
    once, often = picky.run(), small.run()

    for place, run in ((picky, once), (small, often)):
        with pytest.raises(Unavailable):
            await place.collect("p", "hello", run)

    assert (len(once.record.attempts), len(often.record.attempts)) == (1, 3)


async def test_a_step_has_its_time_and_no_more() -> None:
    small = world(
        {"type": "ask", "name": "a", "model": "slow", "timeout": 0.01}, models={"slow": {**ECHO, "pause": 30}}
    )

    with pytest.raises(TimedOut, match=r"'a' took longer than its 0\.01 seconds"):
        await small.collect("p", "a b")


async def test_a_pipeline_has_its_steps_and_its_time_with_all_that_it_asks() -> None:
    one = {"type": "set", "name": "s", "values": {"x": 1}}
    inner = {"type": "pipeline", "steps": [one, {**one, "name": "t"}]}
    many = world({"type": "ask", "name": "a", "model": "inner"}, models={"inner": inner}, limits={"steps": 2})
    long = world(
        {"type": "ask", "name": "a", "model": "slow"}, models={"slow": {**ECHO, "pause": 30}}, limits={"seconds": 0.01}
    )

    with pytest.raises(Overrun, match="2 steps at most"):
        await many.collect("p")
    with pytest.raises(Overrun, match=r"0\.01 seconds at most"):
        await long.collect("p", "a b")


async def test_a_pipeline_that_is_asked_twice_walks_twice() -> None:
    inner = {
        "type": "pipeline",
        "steps": [{"type": "prompt", "name": "s", "model": "e", "prompt": "<{{ input.text }}>"}],
    }
    small = world(
        {"type": "prompt", "name": "a", "model": "inner", "prompt": "one"},
        {"type": "prompt", "name": "b", "model": "inner", "prompt": "two {{ a }}"},
        models={"inner": inner},
    )

    assert (await small.collect("p")).text == "<two <one>>"


async def test_the_next_candidate_of_a_router_begins_its_steps_anew() -> None:
    def candidate(text: str, model: str) -> dict[str, Any]:
        first = {"type": "set", "name": "first", "values": {"x": text}}
        return {
            "type": "pipeline",
            "steps": [first, {"type": "prompt", "name": "s", "model": model, "prompt": "{{ first.x }}"}],
        }

    models = {
        "bad": {**ECHO, "fails": True},
        "one": candidate("from one", "bad"),
        "two": candidate("from two", "e"),
        "auto": {"type": "router", "candidates": ["one", "two"]},
    }
    small = world({"type": "ask", "name": "a", "model": "auto"}, models=models)

    assert (await small.collect("p")).text == "from two"


async def test_what_was_given_to_the_same_inputs_is_given_again_within_a_tenant_and_purpose() -> None:
    small = world({"type": "prompt", "name": "a", "model": "e", "prompt": "{{ input.text }}", "reuse": 60})
    runs = [small.run(), small.run(), small.run()]
    runs[2].purpose = "another"

    for run in runs:
        assert (await small.collect("p", "hello", run)).text == "hello"

    assert [len(run.record.attempts) for run in runs] == [1, 0, 1]


async def test_what_a_pipeline_cannot_do_it_says() -> None:
    small = world({"type": "set", "name": "a", "values": {"x": 1}})

    with pytest.raises(Unsupported, match="embeddings"):
        await small.collect("p", request(model="p", task="embeddings"))
    with pytest.raises(Unsupported, match="one answer"):
        await small.collect("p", request(model="p", choices=2))
    with pytest.raises(Invalid, match="last message of the user"):
        await small.collect("p", request(model="p").changed(messages=(Message("system", (Text("x"),)),)))


async def test_a_failure_is_written_down_with_its_path() -> None:
    small = world({"type": "calculate", "name": "c", "values": {"x": "1 / 0"}})
    run = small.run()
    pipeline = small.catalog.models["p"]

    with pytest.raises(Invalid, match="'x' cannot be worked out"):
        [event async for event in pipeline.answer(request(), run)]

    assert run.logbook is not None
    assert [(entry.path, entry.code) for entry in run.logbook.entries if isinstance(entry, StepFailed)] == [
        ("c", "invalid_request")
    ]


def test_names_that_are_not_there_are_refused_with_the_nearest_and_those_that_come_later_by_that_reason() -> None:
    faults = refused(
        {"type": "set", "name": "first", "values": {"x": "{{ secnd.y }}", "z": "{{ second.y }}"}},
        {"type": "set", "name": "second", "when": "firts.x == 1", "values": {"y": "{{ first.q }} {{ input.txt }}"}},
        {"type": "calculate", "name": "third", "values": {"a": "third.b", "b": "first.x +"}},
        result="{{ thrid.a }}",
    )

    assert set(faults) == {
        "models.p.steps[0].values.x",
        "models.p.steps[0].values.z",
        "models.p.steps[1].when",
        "models.p.steps[1].values.y",
        "models.p.steps[2].values.a",
        "models.p.steps[2].values.b",
        "models.p.result",
    }
    assert "a step that stands later" in faults["models.p.steps[0].values.z"]
    assert "did you mean 'first.x'" in faults["models.p.steps[1].when"]
    assert "did you mean 'first.z'" in faults["models.p.steps[1].values.y"]
    assert "the step itself" in faults["models.p.steps[2].values.a"]
    assert "1:10: expected a value" in faults["models.p.steps[2].values.b"]
    assert "did you mean 'third.a'" in faults["models.p.result"]


def test_names_that_are_taken_and_schemas_that_are_none_are_refused() -> None:
    one = {"type": "set", "values": {"x": 1}}
    faults = refused(
        {**one, "name": "input"},
        {**one, "name": "a"},
        {**one, "name": "a"},
        {"type": "branch", "name": "b", "cases": [{"when": "true", "steps": [{**one, "name": "a"}]}]},
        {"type": "ask", "name": "c", "model": "ee"},
        input={"type": "objekt"},
        output={"properties": 3},
    )

    assert set(faults) == {
        "models.p.steps[0].name",
        "models.p.steps[2].name",
        "models.p.steps[3].cases[0].steps[0].name",
        "models.p.steps[4].model",
        "models.p.input.type",
        "models.p.output.properties",
    }
    assert "did you mean 'e'" in faults["models.p.steps[4].model"]


def test_pipelines_that_would_ask_each_other_without_end_are_refused() -> None:
    faults = refused({"type": "ask", "name": "a", "model": "p"})

    assert any("without end: p -> p" in message for message in faults.values())


async def test_numbers_of_the_input_stay_exact() -> None:
    schema = {"type": "object", "properties": {"price": {"type": "number"}}}
    small = world(
        {"type": "calculate", "name": "c", "values": {"sum": "input.price + 0.2"}}, input=schema, result="{{ c.sum }}"
    )

    assert (await small.collect("p", '{"price": 0.1}')).text == str(Decimal("0.3"))
