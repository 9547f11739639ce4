"""A run of a pipeline is taken up again: by whom, where it waits, and what it still may."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import BudgetExceeded, InvalidConfiguration, Unavailable
from dirigent.core.events import collect
from dirigent.core.journal import Asked, Began, Decided, LeftOut, Slept, StepEnded, StepFailed, Suspended
from dirigent.core.registry import Kind, Registry
from dirigent.models.steps.step import Place, Step
from tests.models.reciting import Recited, asked_of
from tests.models.scripts import scripted, slow
from tests.paper import Crash, Paper
from tests.world import READER, World

ECHO = {"type": "echo"}


class Decide(Step, frozen=True, kw_only=True):
    """Asks a person, and goes on with what they say."""

    async def work(self, place: Place) -> Any:
        return (await place.approve(Question(f"May {self.name} go on?"))).answer

    def waits(self) -> bool:
        return True


class Launch(Step, frozen=True, kw_only=True):
    """Does what must not happen twice."""

    async def work(self, place: Place) -> Any:
        return place.key

    def effect_of(self) -> Any:
        return "once"


@pytest.fixture(autouse=True)
def steps_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    table = READER.registries[Step]
    tables: dict[type[Kind], Registry[Any]] = {
        **READER.registries,
        Step: Registry(Step, [*table.kinds.values(), Decide, Launch]),
    }
    monkeypatch.setattr(READER, "registries", tables)


def world(*steps: dict[str, Any], models: dict[str, Any] | None = None, **settings: Any) -> World:
    pipeline = {"type": "pipeline", "steps": list(steps), **settings}
    return World({"e": ECHO, **(models or {}), "p": pipeline}, kinds=[Recited])


def decide(paper: Paper, path: str, answer: Any) -> None:
    """Somebody answers the question at a path."""
    asked = next(entry for entry in paper.entries if isinstance(entry, Asked) and entry.path == path)
    paper.entries.append(Decided(path=path, approval=asked.approval, verdict=Verdict("approved", answer)))


async def waits(paper: Paper, small: World) -> None:
    with pytest.raises(Suspended):
        await collect(paper.answer(small))


async def test_several_people_are_asked_at_once_while_other_ways_come_to_their_end() -> None:
    ways = {
        "anna": [{"type": "decide", "name": "a"}],
        "bob": [{"type": "decide", "name": "b"}],
        "nobody": [{"type": "prompt", "name": "c", "model": "slow", "prompt": "one two"}],
    }
    small = world({"type": "parallel", "name": "all", "branches": ways}, models={"slow": {**ECHO, "pause": 0.01}})
    paper = Paper()

    await waits(paper, small)
    asked = {entry.path for entry in paper.entries if isinstance(entry, Asked)}
    assert asked == {"all/anna/a", "all/bob/b"}
    assert paper.ended == ["all/nobody/c"]

    decide(paper, "all/bob/b", "yes")
    await waits(paper, small)
    decide(paper, "all/anna/a", "no")

    assert (await collect(paper.answer(small))).text == '{"anna":"no","bob":"yes","nobody":"one two"}'
    assert len([entry for entry in paper.entries if isinstance(entry, Asked)]) == 2


LEAVING: list[dict[str, Any]] = [
    {"type": "set", "name": "a", "when": "input.text == 'other'", "values": {"x": 1}},
    {"type": "decide", "name": "d"},
    {"type": "set", "name": "b", "when": "has(a)", "values": {"x": 2}},
    {"type": "set", "name": "s", "values": {"x": 3}},
    {"type": "set", "name": "c", "when": "has(a)", "values": {"x": 4}},
]


@pytest.mark.parametrize("cut", range(1, 8))
async def test_what_is_left_out_is_told_once_and_at_its_place_wherever_the_process_was_lost(cut: int) -> None:
    small, paper = world(*LEAVING, result="{{ s.x }}"), Paper()
    paper.until = cut
    with suppress(Crash):
        await paper.walked(small)
    paper.until = None

    await paper.walked(small)

    assert [type(entry) for entry in paper.entries] == [
        Began,
        LeftOut,
        Asked,
        Decided,
        StepEnded,
        LeftOut,
        StepEnded,
        LeftOut,
    ]
    assert [entry.path for entry in paper.entries if isinstance(entry, LeftOut)] == ["a", "b", "c"]


async def test_a_journal_from_before_steps_that_are_left_out_were_told_goes_on() -> None:
    small, paper = world(*LEAVING, result="{{ s.x }}"), Paper()
    await waits(paper, small)
    paper.entries = [entry for entry in paper.entries if not isinstance(entry, LeftOut)]

    answer = await paper.walked(small)

    assert (answer.text, paper.ended) == ("3", ["d", "s"])


async def test_a_wait_names_its_time_once_and_goes_on_then() -> None:
    small, paper = (
        world({"type": "wait", "name": "w", "for": "0.5s"}, {"type": "set", "name": "s", "values": {"x": 1}}),
        Paper(),
    )

    await waits(paper, small)
    await waits(paper, small)
    slept = [entry for entry in paper.entries if isinstance(entry, Slept)]
    await asyncio.sleep(0.6)

    assert (await collect(paper.answer(small))).text == '{"x":1}'
    assert len(slept) == 1


def test_what_makes_a_pipeline_durable_is_derived_and_cannot_be_denied() -> None:
    inner = {"type": "pipeline", "steps": [{"type": "decide", "name": "d"}]}
    asks = {"type": "ask", "name": "a", "model": "router"}
    models = {"inner": inner, "router": {"type": "router", "candidates": ["e", "inner"]}}

    assert world(asks, models=models).catalog.profile("p").durable
    assert world({"type": "wait", "name": "w", "for": 1}).catalog.profile("p").durable
    assert world({"type": "launch", "name": "l"}).catalog.profile("p").durable
    assert not world({"type": "ask", "name": "a", "model": "e"}).catalog.profile("p").durable
    assert world({"type": "ask", "name": "a", "model": "e"}, durable=True).catalog.profile("p").durable
    with pytest.raises(InvalidConfiguration, match=r"durable: .*the step 'w' waits"):
        world({"type": "wait", "name": "w", "for": 1}, durable=False)


async def test_a_router_within_a_durable_run_chooses_the_same_again() -> None:
    texts = {"one": ["!", "from one"], "two": ["from two"]}
    candidate = {
        name: {
            "type": "pipeline",
            "steps": [
                {"type": "ask", "name": "s", "model": f"m{name}"},
                {"type": "set", "name": "t", "values": {"x": "{{ s }}"}},
            ],
        }
        for name in texts
    }
    models = {
        **{f"m{name}": {"type": "recited", "says": says} for name, says in texts.items()},
        **candidate,
        "auto": {
            "type": "router",
            "candidates": ["one", "two"],
            "strategy": {"type": "weighted", "weights": {"one": 1, "two": 1}},
        },
    }
    answers = set()
    for cut in range(3):
        small, paper = world({"type": "ask", "name": "a", "model": "auto"}, models=models), Paper(f"run-{cut}")
        paper.until = 2 + cut
        with pytest.raises(Crash):
            await collect(paper.answer(small))
        before = [entry for entry in paper.entries if type(entry).__name__ == "Noted"]
        paper.until = None
        answers.add((await collect(paper.answer(small))).text)
        after = [entry for entry in paper.entries if type(entry).__name__ == "Noted"]
        assert after[: len(before)] == before
        assert len(after) == 1

    assert answers <= {'{"x":"from one"}', '{"x":"from two"}'}


async def test_tries_that_were_made_before_a_crash_count() -> None:
    step = {"type": "ask", "name": "a", "model": "m", "retry": {"tries": 2, "wait": 0}}
    small, paper = world(step, models={"m": {"type": "recited", "says": ["!", "!", "late"]}}), Paper()

    with pytest.raises(Unavailable):
        await collect(paper.answer(small))
    with pytest.raises(Exception, match="'m' fails") as again:
        await collect(paper.answer(small))

    assert getattr(again.value, "code", "") == "unavailable"
    assert len(asked_of(small, "m")) == 2
    assert len([entry for entry in paper.entries if isinstance(entry, StepFailed)]) == 2


async def test_what_an_earlier_try_left_half_done_is_begun_anew() -> None:
    inner = {
        "type": "pipeline",
        "steps": [
            {"type": "ask", "name": "first", "model": "counted"},
            {"type": "ask", "name": "second", "model": "shaky"},
        ],
        "result": "{{ first }} {{ second }}",
    }
    models = {
        "inner": inner,
        "counted": {"type": "recited", "says": ["one", "two"]},
        "shaky": {"type": "recited", "says": ["!", "well"]},
    }
    small = world({"type": "ask", "name": "a", "model": "inner", "retry": {"tries": 2, "wait": 0}}, models=models)

    assert (await small.collect("p")).text == "two well"


async def test_the_key_of_a_step_is_the_same_after_a_crash_and_another_for_another_run() -> None:
    small = world({"type": "launch", "name": "l"})
    keys = set()
    for name in ("run-1", "run-2"):
        paper = Paper(name)
        keys.add((await collect(paper.answer(small))).text)

    assert len(keys) == 2


async def test_money_that_was_spent_before_a_crash_is_spent() -> None:
    price = {"price": {"input": "1000", "output": "1000"}, "max_output": 64, "retries": 0}
    steps = [{"type": "prompt", "name": f"s{number}", "model": "v", "prompt": "hello"} for number in range(60)]
    pipeline = {"type": "pipeline", "steps": steps, "limits": {"cost": "1.00"}}
    taken = []
    async with scripted({"p": pipeline}, {"v": price}, v=slow(0.0, "hi")) as small:
        for cut in (None, 4, 9):
            paper = Paper()
            paper.until = cut
            if cut is not None:
                with pytest.raises(Crash):
                    await collect(paper.answer(small))
                paper.until = None
            with pytest.raises(BudgetExceeded):
                await collect(paper.answer(small))
            taken.append(len(paper.ended))

    assert 2 < taken[0] < 60
    assert taken == [taken[0]] * 3
