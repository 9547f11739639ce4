"""Laws that hold for every pipeline, however its steps are put together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from dirigent.core.errors import DirigentError, Overrun
from dirigent.core.events import TextDelta
from dirigent.core.journal import StepEnded, fold, joined, parted
from tests.paper import Crash, Paper
from tests.world import World, ask, request

Steps = list[dict[str, Any]]
LAW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
ECHO = {"type": "echo"}


def simple(kind: str, seen: Sequence[str]) -> some.SearchStrategy[dict[str, Any]]:
    """One step that reads one of the results before it, or the input."""
    source = some.sampled_from([*seen, "input.text"])
    match kind:
        case "set":
            return source.map(lambda name: {"values": {"x": f"<{{{{ {name} | json | truncate(60) }}}}>"}})
        case "calculate":
            return source.map(lambda name: {"values": {"n": f'size(text("{name}")) * 1.5', "m": "round(n, 1) + 1"}})
        case _:
            return source.map(lambda name: {"model": "e", "prompt": f"{kind} {{{{ {name} | json | truncate(60) }}}}"})


NUMBERS = some.shared(some.builds(count, some.just(1)), key="numbers")
"""Each name is given once in an example."""


@some.composite
def steps(draw: some.DrawFn, seen: tuple[str, ...] = (), depth: int = 2) -> Steps:
    """A list of steps, each of which sees those before it; what stands within them has names of its own."""
    made: Steps = []
    for _ in range(draw(some.integers(1, 3))):
        kinds = ["set", "calculate", "prompt"] + (["branch", "parallel", "map", "loop"] if depth else [])
        kind = draw(some.sampled_from(kinds))
        name = f"s{next(draw(NUMBERS))}"
        inner = steps(seen, depth - 1) if depth else some.nothing()
        match kind:
            case "branch":
                cases = [{"when": draw(some.sampled_from(["true", "false"])), "steps": draw(inner)} for _ in range(2)]
                settings_: dict[str, Any] = {"cases": cases, "otherwise": draw(inner)}
            case "parallel":
                settings_ = {"branches": {f"b{number}": draw(inner) for number in range(draw(some.integers(1, 3)))}}
            case "map":
                settings_ = {"over": "[1, 2, 3]", "steps": draw(inner), "as": f"item{name}", "at_most_at_once": 2}
            case "loop":
                settings_ = {"steps": draw(inner), "most": 2, "until": draw(some.sampled_from(["false", "true"]))}
            case _:
                settings_ = draw(simple(kind, seen))
        made.append({"type": kind, "name": name, **settings_})
        seen = (*seen, name)
    return made or [{"type": "set", "name": "nothing", "values": {"x": 1}}]


def world(made: Steps, **settings_: Any) -> World:
    """A world in which the pipeline `p` has these steps."""
    return World({"e": ECHO, "p": {"type": "pipeline", "steps": made, **settings_}})


def text_of(made: Steps, asked: str = "hello you") -> str:
    """What a pipeline of these steps answers."""
    return asyncio.run(world(made).collect("p", asked)).text


def chain(models: Sequence[str]) -> Steps:
    """Steps of which each reads the one before it and nothing else."""
    names = ["input.text", *(f"s{number}" for number in range(1, len(models) + 1))]
    return [
        {"type": "prompt", "name": names[place], "model": "e", "prompt": f"{model}({{{{ {names[place - 1]} }}}})"}
        for place, model in enumerate(models, 1)
    ]


@LAW
@given(some.lists(some.text(alphabet="abc", min_size=1, max_size=3), min_size=2, max_size=5), some.data())
def test_steps_one_after_the_other_may_be_put_in_brackets_anywhere(models: list[str], data: some.DataObject) -> None:
    plain = chain(models)
    start = data.draw(some.integers(0, len(plain) - 1))
    end = data.draw(some.integers(start + 1, len(plain)))
    last = plain[end - 1]["name"]
    inner = [{**each, "name": f"in_{each['name']}"} for each in plain[start:end]]
    for place, each in enumerate(inner[1:], 1):
        each["prompt"] = each["prompt"].replace(plain[start + place - 1]["name"], inner[place - 1]["name"])
    group = {"type": "branch", "name": last, "cases": [{"when": "true", "steps": inner}]}

    assert text_of([*plain[:start], group, *plain[end:]]) == text_of(plain)


@LAW
@given(steps())
def test_one_way_alone_is_what_it_would_be_without_the_others(made: Steps) -> None:
    around: Steps = [{"type": "parallel", "name": "sway", "branches": {"only": made}}]
    way, plain = world(around, result="{{ sway.only | json }}"), world(made)
    last = plain.catalog.models["p"].steps[-1].name  # type: ignore[attr-defined]
    direct = World({"e": ECHO, "p": {**settings_of(plain), "result": f"{{{{ {last} | json }}}}"}})

    one = asyncio.run(way.collect("p")).text
    other = asyncio.run(direct.collect("p")).text

    assert one == other


def settings_of(small: World) -> dict[str, Any]:
    settings_: dict[str, Any] = small.document["models"]["p"]
    return settings_


@LAW
@given(some.lists(some.booleans(), min_size=1, max_size=5))
def test_a_branch_walks_exactly_one_of_its_ways(truths: list[bool]) -> None:
    def way(name: str) -> Steps:
        return [{"type": "set", "name": name, "values": {"took": name}}]

    cases = [{"when": str(truth).lower(), "steps": way(f"w{place}")} for place, truth in enumerate(truths)]
    small = World(
        {"p": {"type": "pipeline", "steps": [{"type": "branch", "name": "b", "cases": cases, "otherwise": way("no")}]}}
    )
    run = small.run()

    asyncio.run(small.collect("p", "hello", run))

    assert run.logbook is not None
    walked = [entry.path for entry in run.logbook.entries if isinstance(entry, StepEnded) and "/" in entry.path]
    expected = truths.index(True) if True in truths else None
    assert walked == ["b/otherwise/no" if expected is None else f"b/case{expected + 1}/w{expected}"]


@LAW
@given(some.integers(1, 12), some.integers(1, 12), some.integers(1, 4), some.integers(1, 6))
def test_a_pipeline_that_is_asked_has_no_more_steps_than_the_one_that_asks(
    outer: int, inner: int, times: int, long: int
) -> None:
    set_ = [{"type": "set", "name": f"s{number}", "values": {"x": 1}} for number in range(long)]
    asks = [{"type": "prompt", "name": f"a{number}", "model": "inner", "prompt": "go"} for number in range(times)]
    small = World(
        {
            "inner": {"type": "pipeline", "steps": set_, "limits": {"steps": inner}},
            "p": {"type": "pipeline", "steps": asks, "limits": {"steps": outer}},
        }
    )
    run = small.run()
    fits = long <= inner and times * (long + 1) <= outer

    error = asyncio.run(failure(small, run))

    assert run.logbook is not None
    taken = [entry.path for entry in run.logbook.entries if isinstance(entry, StepEnded)]
    assert (error is None) is fits
    assert error is None or isinstance(error, Overrun)
    assert len(taken) <= outer


async def failure(small: World, run: Any) -> DirigentError | None:
    try:
        await small.collect("p", "hello", run)
    except DirigentError as error:
        return error
    return None


@LAW
@given(steps())
def test_the_state_of_a_run_follows_from_its_entries_alone(made: Steps) -> None:
    paper = Paper()
    asyncio.run(paper.walked(world(made)))

    kept = [joined(*parted(entry)) for entry in paper.entries]

    assert kept == paper.entries
    assert fold(kept).steps == fold(paper.entries).steps
    for cut in range(len(kept)):
        state = fold(kept[:cut])
        for entry in kept[cut:]:
            state.take(entry)
        assert (state.length, state.steps, state.input) == (len(kept), fold(kept).steps, fold(kept).input)


@LAW
@given(steps())
def test_what_is_streamed_is_what_is_said_at_once(made: Steps) -> None:
    small = world(made)

    whole = asyncio.run(ask(small.answer("p")))
    streamed = asyncio.run(ask(small.answer("p", request(model="p", stream=True))))

    assert said(whole) == said(streamed)
    assert whole[-2:] == streamed[-2:]


def said(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def hold_to_the_end_of_the_uncut_run(made: Steps, most: int) -> None:
    """Cuts the run off after each of its first entries, takes it up again, and compares."""
    small, whole = world(made), Paper()
    expected = asyncio.run(whole.walked(small)).text
    for cut in range(min(len(whole.entries), most)):
        paper = Paper()
        paper.until = cut
        with pytest.raises(Crash):
            asyncio.run(paper.walked(small))
        before = list(paper.ended)
        paper.until = None
        assert asyncio.run(paper.walked(small)).text == expected
        assert sorted(paper.ended) == sorted(whole.ended)
        assert paper.ended[: len(before)] == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps())
def test_a_run_that_is_cut_off_anywhere_comes_to_the_end_of_the_uncut_one(made: Steps) -> None:
    hold_to_the_end_of_the_uncut_run(made, 12)


@pytest.mark.prove
@MANY
@given(steps(depth=3))
def test_a_run_that_is_cut_off_anywhere_comes_to_the_end_of_the_uncut_one_at_length(made: Steps) -> None:
    hold_to_the_end_of_the_uncut_run(made, 10_000)
