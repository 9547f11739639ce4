"""What is special about the steps that need no door: data out of texts, many of a kind, rounds, tools."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from dirigent.core.errors import BadAnswer, Invalid, InvalidConfiguration, Overrun, Unavailable
from dirigent.core.journal import StepEnded
from tests.models.reciting import Recited, asked_of
from tests.world import World

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number", "minimum": 0}, "who": {"type": "string"}},
    "required": ["total", "who"],
}


def world(*steps: dict[str, Any], **settings: Any) -> World:
    says = settings.pop("says", ["hello"])
    pipeline = {"type": "pipeline", "steps": list(steps), **settings}
    return World({"m": {"type": "recited", "says": says}, "e": {"type": "echo"}, "p": pipeline}, kinds=[Recited])


async def given(small: World, asked: str = "hello") -> Any:
    return json.loads((await small.collect("p", asked)).text)


async def test_what_does_not_fit_is_told_to_the_model_which_mends_it() -> None:
    step = {"type": "extract", "name": "x", "model": "m", "prompt": "{{ input.text }}", "schema": SCHEMA}
    small = world(step, says=["I think 5", '{"total": -1}', 'Here: {"total": 5.10, "who": "Erika"}'])

    assert (await small.collect("p")).text == '{"total":5.10,"who":"Erika"}'

    second, third = (request.messages[-1].text for request in asked_of(small, "m")[1:])
    assert "no JSON" in second
    assert "x.total" in third
    assert "'who'" in third or '"who"' in third


async def test_what_still_does_not_fit_after_all_repairs_fails_with_its_fields() -> None:
    step = {"type": "extract", "name": "x", "model": "m", "prompt": "?", "schema": SCHEMA, "repairs": 1}
    small = world(step, says=['{"total": "five", "who": "Erika"}'])

    with pytest.raises(BadAnswer, match=r"1 repairs did not help: x\.total"):
        await small.collect("p")
    assert len(asked_of(small, "m")) == 2


async def test_a_map_keeps_the_order_and_works_on_so_many_at_once() -> None:
    class Counted(Recited, frozen=True):
        """Says how many are asked at the same time."""

        async def answer(self, request: Any, run: Any) -> Any:
            now = run.catalog.kept.setdefault("now", [0, 0])
            now[0] += 1
            now[1] = max(now)
            await asyncio.sleep(0.002 * (5 - int(request.messages[-1].text)))
            now[0] -= 1
            async for event in super().answer(request, run):
                yield event

    steps = [
        {"type": "prompt", "name": "s", "model": "c", "prompt": "{{ n }}"},
        {"type": "set", "name": "t", "values": {"n": "{{ n_number }}"}},
    ]
    step = {"type": "map", "name": "x", "over": "[3, 1, 2, 0]", "as": "n", "at_most_at_once": 2, "steps": steps}
    small = World(
        {"c": {"type": "counted", "says": ["x"]}, "p": {"type": "pipeline", "steps": [step]}}, kinds=[Counted]
    )

    assert await given(small) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    assert small.catalog.kept["now"][1] == 2


async def test_a_map_stops_at_the_first_failure_or_collects_it() -> None:
    steps = [{"type": "calculate", "name": "s", "values": {"x": "6 / n"}}]
    step = {"type": "map", "name": "x", "over": "[1, 0, 2]", "as": "n", "steps": steps}

    with pytest.raises(Invalid, match="cannot be worked out"):
        await given(world(step))
    collected = await given(world({**step, "on_failure": "collect"}))

    assert collected["done"] == [{"x": 6}, None, {"x": 3}]
    assert [(each["number"], each["code"]) for each in collected["failed"]] == [(2, "invalid_request")]


async def test_a_map_over_too_many_or_over_no_list_does_nothing_at_all() -> None:
    step = {
        "type": "map",
        "name": "x",
        "over": "[1, 2, 3]",
        "most": 2,
        "steps": [{"type": "ask", "name": "s", "model": "m"}],
    }
    small = world(step)

    with pytest.raises(Invalid, match="has 3 items, and 2 is the limit"):
        await given(small)
    with pytest.raises(Invalid, match="is no list"):
        await given(world({**step, "over": "input.text"}))
    assert asked_of(small, "m") == []


async def test_a_loop_ends_when_its_condition_holds_and_each_round_sees_the_one_before() -> None:
    round_ = [{"type": "set", "name": "s", "values": {"seen": '{{ previous.seen | default("") }}{{ round_number }}'}}]
    step = {"type": "loop", "name": "x", "steps": round_, "most": 9, "until": "size(s.seen) >= 3"}

    assert await given(world(step)) == {"seen": "123"}


async def test_a_loop_keeps_the_best_round_and_may_fail_where_none_was_good_enough() -> None:
    round_ = [
        {"type": "ask", "name": "a", "model": "m"},
        {"type": "set", "name": "s", "values": {"text": "{{ a }}", "mark": "{{ number(a) }}"}},
    ]
    step = {
        "type": "loop",
        "name": "x",
        "steps": round_,
        "most": 3,
        "until": "s.mark > 8",
        "keep": "best",
        "by": "s.mark",
    }

    assert (await given(world(step, says=["3", "7", "5"])))["text"] == "7"
    assert (await given(world(step, says=["3", "9", "5"])))["text"] == "9"
    with pytest.raises(BadAnswer, match="in none of 3 rounds"):
        await given(world({**step, "exhausted": "fail"}, says=["3", "7", "5"]))


async def test_a_tool_is_called_with_what_is_filled_in_and_refuses_what_it_does_not_know() -> None:
    table = {"type": "lookup", "table": {"DE": 0.19, "AT": 0.2}}
    step = {"type": "tool", "name": "x", "tool": table, "arguments": {"key": "{{ input.text }}"}}
    sums = {
        "type": "tool",
        "name": "x",
        "tool": "calculator",
        "arguments": {"expression": "a * 1.19", "values": {"a": "{{ 10 }}"}},
    }

    assert (await world(step).collect("p", "de")).text == "0.19"
    with pytest.raises(Invalid, match="did you mean 'DE'"):
        await world(step).collect("p", "DEU")
    assert (await world(sums).collect("p")).text == "11.90"
    with pytest.raises(InvalidConfiguration, match=r"arguments\.kee: 'lookup' takes no 'kee'"):
        world({**step, "arguments": {"kee": "DE"}})
    with pytest.raises(InvalidConfiguration, match=r"zone: there is no time zone"):
        world({"type": "tool", "name": "x", "tool": {"type": "now", "zone": "Europe/Berln"}})


async def test_a_wait_in_a_run_that_cannot_rest_is_waited_or_refused() -> None:
    short = world({"type": "wait", "name": "w", "for": "0.01s"}, {"type": "set", "name": "s", "values": {"x": 1}})
    long = world({"type": "wait", "name": "w", "for": "3d"})

    assert await given(short) == {"x": 1}
    with pytest.raises(Overrun, match="durable"):
        await long.collect("p")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "either `until` a time or `for` a while"),
        ({"for": "1h", "until": "2026-11-30"}, "either `until` a time or `for` a while"),
        ({"for": "soon"}, "no while such as"),
        ({"until": "tomorrow"}, "no date or time"),
    ],
)
def test_a_wait_names_one_time_that_is_one(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfiguration, match=words):
        world({"type": "wait", "name": "w", **settings})


MAIL = """Guten Tag,

bitte liefern Sie   20 Stühle.
Gruß
Erika

--\x20
Kühn GmbH
Amtsgericht Köln, HRB 12345

Am 12.11.2026 um 10:00 schrieb Vertrieb:
> Guten Tag Frau Kühn,
> was dürfen wir liefern?
"""


@pytest.mark.parametrize(
    ("of", "operations", "expected"),
    [
        (MAIL, [{"clean": ["mail", "whitespace"]}], "Guten Tag,\n\nbitte liefern Sie 20 Stühle.\nGruß\nErika"),
        ("<p>Hallo&nbsp;<b>Welt</b></p><script>x()</script>", [{"clean": ["markup", "whitespace"]}], "Hallo Welt"),
        ("Bitte liefern Sie die Ware noch heute, denn wir haben keine mehr.", [{"language": True}], "de"),
        ("ﬁne", [{"normalise": "NFKC"}], "fine"),
        (
            "one two three four five\n\nsix seven eight nine ten",
            [{"split": {"most": 8}}],
            ["one two three four five", "six seven eight nine ten"],
        ),
        ([3, 1, 2], [{"sort": {}}, {"limit": 2}], [1, 2]),
        ([{"n": "b"}, {"n": "a"}], [{"sort": {"by": "item.n"}}, {"each": "{{ item.n | upper }}"}], ["A", "B"]),
        ([1, 2, 3, 4], [{"select": "item % 2 == 0"}], [2, 4]),
        ([{"k": 1, "v": 1}, {"k": 1, "v": 2}], [{"unique": "item.k"}], [{"k": 1, "v": 1}]),
        (
            [{"k": "x", "v": 1}, {"k": "y", "v": 2}, {"k": "x", "v": 3}],
            [{"group": "item.k"}, {"each": {"k": "{{ item.key }}", "sum": '{{ sum(item.items, "v") }}'}}],
            [{"k": "x", "sum": 4}, {"k": "y", "sum": 2}],
        ),
    ],
)
async def test_a_transform_makes(of: Any, operations: list[dict[str, Any]], expected: Any) -> None:
    step = {"type": "transform", "name": "x", "of": of, "operations": operations}

    assert await given(world(step, result={"made": "{{ x }}"})) == {"made": expected}


def test_an_operation_says_one_thing() -> None:
    with pytest.raises(InvalidConfiguration, match="says one thing, and this says 2"):
        world({"type": "transform", "name": "x", "of": "a", "operations": [{"limit": 1, "language": True}]})


async def test_pieces_of_a_long_text_are_bounded_and_overlap() -> None:
    text = " ".join(f"Satz {number} sagt etwas." for number in range(60))
    step = {
        "type": "transform",
        "name": "x",
        "of": "{{ input.text }}",
        "operations": [{"split": {"by": "sentences", "most": 40, "overlap": 10}}],
    }

    pieces = await given(world(step), text)

    assert len(pieces) > 5
    assert all(later.split(". ")[0].rstrip(".") in earlier for earlier, later in pairwise(pieces))
    assert {f"Satz {number} " in " ".join(pieces) for number in range(60)} == {True}


async def test_a_step_that_refuses_is_no_answer() -> None:
    small = world({"type": "ask", "name": "a", "model": "m"}, says=[""])

    with pytest.raises(BadAnswer, match="says nothing"):
        await small.collect("p")


async def test_a_step_whose_template_comes_out_empty_asks_nobody() -> None:
    small = world({"type": "prompt", "name": "a", "model": "m", "prompt": "{{ run.purpose }}"})

    with pytest.raises(Invalid, match="nothing to ask 'm'"):
        await small.collect("p")
    assert asked_of(small, "m") == []


async def test_the_failure_of_one_way_closes_the_others_before_it_is_told() -> None:
    slow = {"type": "echo", "says": "x", "pause": 30}
    ways = {"a": [{"type": "ask", "name": "s", "model": "slow"}], "b": [{"type": "ask", "name": "s", "model": "bad"}]}
    small = World(
        {
            "slow": slow,
            "bad": {"type": "echo", "fails": True},
            "p": {"type": "pipeline", "steps": [{"type": "parallel", "name": "x", "branches": ways}]},
        }
    )
    run = small.run()

    with pytest.raises(Unavailable):
        await small.collect("p", "hello", run)

    assert run.logbook is not None
    assert not [entry for entry in run.logbook.entries if isinstance(entry, StepEnded)]
    assert len(asyncio.all_tasks()) == 1
