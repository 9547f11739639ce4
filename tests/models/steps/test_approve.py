"""People are asked where a rule says so, and nothing goes on that they have not approved."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any

import pytest

from dirigent.core.approvals import NotApproved, Question, Verdict
from dirigent.core.errors import InvalidConfiguration
from dirigent.core.journal import Asked, Decided, Entry, StepEnded, Suspended, fold, joined, parted
from dirigent.core.logbook import Logbook
from tests.world import World

QUOTE = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "score": {"type": "number"}},
    "required": ["total"],
}


class Desk:
    """A durable run of a pipeline that asks people, walked anew after each word of theirs."""

    def __init__(self, run: str = "run-1", **settings: Any) -> None:
        step = {
            "type": "approve",
            "name": "release",
            "title": "{{ input.total }}",
            "proposal": "{{ input }}",
        } | settings
        self.world = World({"m": {"type": "pipeline", "input": QUOTE, "steps": [step], "result": "{{ release }}"}})
        self.run = run
        self.entries: list[Entry] = []

    async def append(self, entries: Sequence[Entry]) -> None:
        self.entries += [joined(*parted(entry)) for entry in entries]

    async def walk(self, text: str = '{"total": 100}') -> None:
        """Goes on until it waits, or is over."""
        run = self.world.run()
        run.id = self.run
        run.logbook = Logbook(self.run, fold(self.entries), self.append)
        await self.world.collect("m", text, run)

    async def waits(self, text: str = '{"total": 100}') -> Question:
        """The question that it waits for."""
        with pytest.raises(Suspended):
            await self.walk(text)
        asked = [entry for entry in self.entries if isinstance(entry, Asked)][-1]
        assert asked.question is not None
        return asked.question

    def says(self, outcome: str, answer: object = None, *by: str, reason: str = "") -> None:
        asked = [entry for entry in self.entries if isinstance(entry, Asked)][-1]
        verdict = Verdict(outcome, answer, by or ("anna",), reason)  # type: ignore[arg-type]
        self.entries.append(Decided(path=asked.path, approval=asked.approval, verdict=verdict))

    @property
    def result(self) -> Any:
        return next(entry.output for entry in self.entries if isinstance(entry, StepEnded))

    @property
    def facts(self) -> Any:
        return next(entry.facts for entry in self.entries if isinstance(entry, StepEnded))


async def test_what_was_changed_goes_on_and_the_result_tells_by_whom_and_what() -> None:
    desk = Desk(effects="It costs {{ input.total }}.", form=QUOTE, to=["reviewer"])

    question = await desk.waits()
    desk.says("edited", {"total": 90}, "anna", reason="a good customer")
    await desk.walk()

    assert (question.title, question.proposal, question.effects) == ("100", {"total": 100}, "It costs 100.")
    assert (question.to, question.form, question.why) == (("reviewer",), QUOTE, "a person is always asked here")
    assert desk.result == {
        "outcome": "edited",
        "answer": {"total": 90},
        "diff": [{"path": ["total"], "before": 100, "after": 90}],
        "by": ["anna"],
        "reason": "a good customer",
    }


async def test_a_rejection_ends_the_run_unless_the_step_says_that_it_goes_on() -> None:
    strict, loose = Desk(), Desk(rejected="goes_on")
    for desk in (strict, loose):
        await desk.waits()
        desk.says("rejected", reason="too dear")

    with pytest.raises(NotApproved, match="release was not approved: too dear"):
        await strict.walk()
    await loose.walk()

    assert (loose.result["outcome"], loose.result["answer"]) == ("rejected", None)


async def test_nobody_in_time_is_a_no_or_what_the_step_says() -> None:
    silent, otherwise = Desk(within=60), Desk(within=60, otherwise={"total": 0})
    first, second = await silent.waits(), await otherwise.waits()
    silent.says("expired", first.otherwise)
    otherwise.says("expired", second.otherwise)

    with pytest.raises(NotApproved, match="nobody has decided in time"):
        await silent.walk()
    await otherwise.walk()

    assert second.expires is not None
    assert (otherwise.result["outcome"], otherwise.result["answer"]) == ("expired", {"total": 0})


@pytest.mark.parametrize(
    ("needed", "text", "rule"),
    [
        ({"when": "input.total == 100"}, '{"total": 100}', "input.total == 100 holds"),
        ({"when": "input.total == 100"}, '{"total": 99}', None),
        ({"amount_over": {"of": "input.total", "limit": 99.9}}, '{"total": 100}', "input.total is above 99.9"),
        ({"amount_over": {"of": "input.total", "limit": 100}}, '{"total": 100}', None),
        (
            {"confidence_below": {"of": "input.score", "limit": 0.8}},
            '{"total": 1, "score": 0.79}',
            "input.score is below 0.8",
        ),
        ({"confidence_below": {"of": "input.score", "limit": 0.8}}, '{"total": 1, "score": 0.8}', None),
        (
            {"confidence_below": {"of": "input.score", "limit": 0.8}},
            '{"total": 1}',
            "input.score is not known, and people are asked where it is below 0.8",
        ),
        ({"sample": 1}, '{"total": 1}', "one of a sample of 1 of what nobody would look at"),
        ({}, '{"total": 1}', None),
    ],
)
async def test_a_person_is_asked_where_a_rule_says_so_and_it_is_told(
    needed: dict[str, Any], text: str, rule: str | None
) -> None:
    desk = Desk(needed=needed)

    if rule is None:
        await desk.walk(text)
        assert (desk.result["outcome"], desk.facts) == (
            "passed",
            {"outcome": "passed", "rule": "no rule asks for a person"},
        )
    else:
        assert (await desk.waits(text)).why == rule


async def test_the_sample_is_drawn_by_the_run_and_is_as_large_as_it_says() -> None:
    async def is_asked(run: str) -> bool:
        desk = Desk(run, needed={"sample": 0.1})
        try:
            await desk.walk()
        except Suspended:
            return True
        return False

    first = [await is_asked(f"run-{number}") for number in range(300)]

    assert first == [await is_asked(f"run-{number}") for number in range(300)]
    assert 15 <= sum(first) <= 50


@pytest.mark.parametrize(
    ("outcome", "noticed"), [("approved", "missed"), ("rejected", "rejected"), ("edited", "edited")]
)
async def test_what_is_wrong_on_purpose_never_goes_on(outcome: str, noticed: str) -> None:
    desk = Desk(seed={"share": 1, "proposal": {"total": "{{ input.total * 10 }}"}, "wrong": "ten times the price"})

    wrong = await desk.waits()
    desk.says(outcome, {"total": 1000} if outcome != "rejected" else None)
    true = await desk.waits()
    desk.says("approved", true.proposal)
    await desk.walk()

    assert (wrong.proposal, wrong.seeded) == ({"total": 1000}, "ten times the price")
    assert (true.proposal, true.seeded) == ({"total": 100}, None)
    assert "was wrong on purpose (ten times the price)" in true.why
    assert desk.result["answer"] == {"total": 100}
    assert desk.facts["seeded"] == noticed


async def test_nobody_to_look_at_a_wrong_one_is_nobody_in_time() -> None:
    desk = Desk(within=60, seed={"share": 1, "proposal": {"total": 1}, "wrong": "x"})

    await desk.waits()
    desk.says("expired")

    with pytest.raises(NotApproved, match="nobody has decided in time"):
        await desk.walk()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"title": "{{ nothing }}"}, "there is no `nothing`"),
        ({"proposal": {"a": "{{ nothing }}"}}, "there is no `nothing`"),
        ({"needed": {"when": "nothing > 1"}}, "there is no `nothing`"),
        ({"needed": {"amount_over": {"of": "nothing", "limit": 1}}}, "there is no `nothing`"),
        ({"seed": {"share": 0.1, "proposal": "{{ nothing }}", "wrong": "x"}}, "there is no `nothing`"),
        ({"otherwise": {"total": 0}}, "it is never taken"),
        ({"within": 60, "escalate": {"to": ["owner"], "after": 60}}, "it has ended by then"),
        ({"within": "1h", "escalate": {"to": ["owner"], "after": "90m"}}, "it has ended by then"),
        ({"within": "three days"}, "is no while such as"),
        ({"within": "0h"}, "longer than nothing"),
        ({"within": "3d", "escalate": {"to": ["owner"], "after": "2y"}}, "is no while such as"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_published(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfiguration, match=words):
        Desk(**settings)


def test_a_pipeline_that_asks_people_outlives_its_process() -> None:
    assert Desk().world.catalog.profile("m").durable


async def test_times_are_said_as_everywhere() -> None:
    desk = Desk(within="72h", escalate={"to": ["owner"], "after": "{{ input.score }}h"})
    before = time()

    question = await desk.waits('{"total": 100, "score": 4}')

    assert question.expires == pytest.approx(before + 72 * 3_600, abs=60)
    assert question.due == pytest.approx(before + 4 * 3_600, abs=60)
