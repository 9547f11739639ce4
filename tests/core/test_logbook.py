"""A run's hand on its journal: what is written is never done again, and state is the fold of what was written."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import Invalid, Unavailable
from dirigent.core.journal import (
    Asked,
    Decided,
    Entry,
    StepEnded,
    StepFailed,
    Suspended,
    fold,
    joined,
    parted,
)
from dirigent.core.logbook import Interrupted, Logbook
from tests.world import World


class Paper:
    """A journal on paper: what was appended, and a logbook that is opened on it again after a crash."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def append(self, entries: Sequence[Entry]) -> None:
        self.entries += [joined(*parted(entry)) for entry in entries]

    def open(self) -> Logbook:
        return Logbook("run-1", fold(self.entries), self.append)


async def test_a_step_that_ended_is_not_done_again_and_gives_what_it_gave_to_the_digit() -> None:
    paper, world, done = Paper(), World({"m": {"type": "echo"}}), []

    async def work(_: object) -> tuple[object, dict[str, Any]]:
        done.append(1)
        return {"price": Decimal("12.50"), "count": 3}, {}

    outputs = []
    for _ in range(3):
        run = world.run()
        run.logbook = paper.open()
        outputs.append(await run.step("prices", "set", work))

    assert done == [1]
    assert outputs[0] == outputs[1] == outputs[2] == {"price": Decimal("12.50"), "count": 3}
    assert str(outputs[2]["price"]) == "12.50"


async def test_what_a_step_asks_counts_for_it_and_for_its_run() -> None:
    world = World({"m": {"type": "echo"}})
    run = world.run()

    async def work(below: Any) -> tuple[object, dict[str, Any]]:
        return (await world.collect("m", "one two", below)).text, {}

    await run.step("first", "ask", work)
    await run.step("second", "ask", work)

    assert run.record.usage is not None
    assert run.logbook is not None
    assert run.record.usage.output_tokens == 4
    ended = [entry for entry in run.logbook.entries if isinstance(entry, StepEnded)]
    assert [(entry.path, entry.spent.output_tokens) for entry in ended] == [("first", 2), ("second", 2)]


async def test_a_step_that_must_not_happen_twice_asks_a_person_after_a_crash_in_the_middle_of_it() -> None:
    paper, world, sent = Paper(), World({"m": {"type": "echo"}}), []

    class Crash(BaseException):
        pass

    async def send(_: object) -> tuple[object, dict[str, Any]]:
        sent.append(1)
        raise Crash

    run = world.run()
    run.logbook = paper.open()
    with pytest.raises(Crash):
        await run.step("send", "http", send, effect="once")
    run.logbook = paper.open()
    with pytest.raises(Suspended):
        await run.step("send", "http", send, effect="once")

    asked = [entry for entry in paper.entries if isinstance(entry, Asked)]
    assert sent == [1]
    assert len(asked) == 1
    paper.entries.append(
        Decided(path=asked[0].path, approval=asked[0].approval, verdict=Verdict("approved", {"result": "it went out"}))
    )
    run.logbook = paper.open()
    assert await run.step("send", "http", send, effect="once") == "it went out"
    assert sent == [1]


async def test_nobody_vouches_and_the_step_is_not_done_again() -> None:
    paper, world = Paper(), World({"m": {"type": "echo"}})

    async def send(_: object) -> tuple[object, dict[str, Any]]:
        raise KeyboardInterrupt

    run = world.run()
    run.logbook = paper.open()
    with pytest.raises(KeyboardInterrupt):
        await run.step("send", "http", send, effect="once")
    run.logbook = paper.open()
    with pytest.raises(Suspended):
        await run.step("send", "http", send, effect="once")
    asked = next(entry for entry in paper.entries if isinstance(entry, Asked))
    paper.entries.append(Decided(path=asked.path, approval=asked.approval, verdict=Verdict("rejected", reason="no")))
    run.logbook = paper.open()

    with pytest.raises(Interrupted):
        await run.step("send", "http", send, effect="once")


async def test_a_failure_that_was_written_down_leaves_no_doubt_and_may_be_tried_again() -> None:
    paper, world, tries = Paper(), World({"m": {"type": "echo"}}), []

    async def send(_: object) -> tuple[object, dict[str, Any]]:
        tries.append(1)
        if len(tries) == 1:
            raise Unavailable("not now")
        return "sent", {}

    run = world.run()
    run.logbook = paper.open()
    with pytest.raises(Unavailable):
        await run.step("send", "http", send, effect="once", attempt=1)
    run.logbook = paper.open()

    assert await run.step("send", "http", send, effect="once", attempt=2) == "sent"
    assert [entry.code for entry in paper.entries if isinstance(entry, StepFailed)] == ["unavailable"]


async def test_only_a_durable_run_waits_for_people() -> None:
    world = World({"m": {"type": "echo"}})
    run = world.run()
    run.logbook = Logbook(run.id)

    with pytest.raises(Invalid, match="wait for people"):
        await run.logbook.ask("approval", Question("May it go out?"))


async def test_a_question_is_asked_once_and_its_first_answer_counts() -> None:
    paper = Paper()
    for _ in range(2):
        with pytest.raises(Suspended):
            await paper.open().ask("approval", Question("May it go out?", proposal={"text": "hello"}))
    asked = [entry for entry in paper.entries if isinstance(entry, Asked)]
    assert len(asked) == 1
    for verdict in (Verdict("approved", {"text": "hello"}, ("anna",)), Verdict("rejected", None, ("bob",))):
        paper.entries.append(Decided(path=asked[0].path, approval=asked[0].approval, verdict=verdict))

    assert (await paper.open().ask("approval", Question("May it go out?"))).by == ("anna",)


def test_facts_of_an_entry_hold_no_word_of_its_content() -> None:
    entry = Asked(path="a", approval="x", question=Question("Frau Köhler's offer", proposal={"name": "Köhler"}))

    facts, body = parted(entry)

    assert b"hler" not in facts
    assert body is not None
    assert "Köhler".encode() in body
    assert joined(facts, body) == entry
    assert joined(facts, None) == Asked(path="a", approval="x")
