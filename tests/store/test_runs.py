"""What people do with runs that outlive a process: begun, looked at, decided about, ended, and begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from dirigent.control.desk import Taken, Unknown
from dirigent.core.errors import Forbidden, Invalid
from dirigent.core.journal import Began, Cancelled, Decided, Ended, LeftOut, Slept, StepBegan, StepFailed, fold
from dirigent.core.usage import Money
from dirigent.store import Database
from dirigent.store.audit import entries as audited
from tests.store.room import MODELS, START, Room, done


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Iterator[Room]:
    room = Room(database, tmp_path)
    yield room
    room.close()


async def test_a_run_that_was_submitted_is_there_once_and_begins(room: Room) -> None:
    first = room.does("runs.submit", model="quote", input={"chairs": 10}, run=f"run-{1:024x}", subject="Köhler")
    again = room.does("runs.submit", model="quote", input={"chairs": 10}, run=f"run-{1:024x}")
    (claimed,) = await room.claim()

    assert (first.run, first.new, again.new) == (f"run-{1:024x}", True, False)
    assert (claimed.submission.model, claimed.submission.body) == ("quote", b'{"chairs":10}')
    assert (claimed.submission.subject, claimed.submission.principal.key) == ("Köhler", "first")


async def test_what_cannot_begin_is_refused(room: Room) -> None:
    with pytest.raises(Unknown, match="no model"):
        room.does("runs.submit", model="nothing", input="x")
    with pytest.raises(Invalid, match="say what is asked"):
        room.does("runs.submit", model="quote")
    with pytest.raises(Invalid, match="either this or"):
        room.does("runs.submit", model="quote", input="x", messages=[{"role": "user", "content": "y"}])
    with pytest.raises(Unknown, match="no key"):
        room.does("runs.submit", model="quote", input="x", key="k-9")
    with pytest.raises(Invalid, match="may not name"):
        room.does("runs.submit", model="quote", input="x", purpose="secrets")


async def test_a_run_tells_its_steps_what_they_cost_and_how_long_it_waited(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="ten chairs").run
    (claimed,) = await room.claim()
    room.now += 2
    await room.walk(
        claimed,
        Began(at=START),
        done("draft", START + 1, "an offer"),
        done("draft:inner/words", START + 0.9, "words", cost=Money(500_000)),
        done("draft:inner", START + 0.95, "words", cost=Money(500_000)),
        room.asked("release", run),
    )
    room.now += 3_600

    told = room.does("runs.trace", run=run)

    assert (told.status, told.worked, told.waited, told.waiting) == ("waiting", 2_000, 3_600_000, (f"{run}-release",))
    assert [(step.path, step.depth, step.state) for step in told.steps] == [
        ("draft", 0, "done"),
        ("draft:inner", 1, "done"),
        ("draft:inner/words", 2, "done"),
        ("release", 0, "waits"),
    ]
    assert (told.cost, told.currency, told.input_tokens, told.output_tokens) == ("0.0005", "USD", 10, 5)
    assert told.steps[-1].waited == 3_600_000
    assert (told.input, told.output, told.steps[0].words) == (None, None, None)


async def test_a_decision_goes_on_with_the_run_whose_worker_has_gone(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="ten chairs").run
    (claimed,) = await room.claim()
    await room.journal.append(run, claimed.fence, [Began(at=START), room.asked("release", run, proposal="a")])
    decided = room.does("approvals.decide", by="anna", role="reviewer", id=f"{run}-release", decision="approve")

    before = await room.claim()
    room.now += 61  # the worker's claim is over: it was lost before it had come to rest
    (again,) = await room.claim()

    assert (decided.outcome, before) == ("approved", ())
    verdict = fold(again.entries).verdicts["release"]
    assert (verdict.outcome, verdict.answer, verdict.by) == ("approved", "a", ("anna",))


async def test_a_decision_before_the_run_has_come_to_rest_wakes_it_at_once(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="ten chairs").run
    (claimed,) = await room.claim()
    await room.journal.append(run, claimed.fence, [Began(at=START), room.asked("release", run, proposal="a")])
    room.does("approvals.decide", by="anna", role="reviewer", id=f"{run}-release", decision="approve")

    await room.journal.rest(run, claimed.fence, None)

    assert len(await room.claim()) == 1


async def test_a_decision_and_the_end_of_its_run_at_once_leave_one_of_them(room: Room) -> None:
    for number in range(10):
        run = room.does("runs.submit", model="quote", input="x", run=f"run-{number:024x}").run
        (claimed,) = await room.claim()
        await room.journal.append(run, claimed.fence, [Began(at=START), room.asked("release", run, proposal="a")])

        def decide(run: str = run) -> str:
            try:
                return str(room.does("approvals.decide", by="anna", id=f"{run}-release", decision="approve").outcome)
            except Taken:
                return "late"

        ended = Ended(at=room.now, status="cancelled", code="cancelled")
        said, _ = await asyncio.gather(asyncio.to_thread(decide), room.journal.end(run, claimed.fence, ended))
        row = room.does("approvals.list", run=run, standing="all").approvals[0]
        written = [entry for entry in await room.journal.load(run) if isinstance(entry, Decided)]

        assert (said, row.outcome, len(written)) in {("approved", "approved", 1), ("late", "withdrawn", 0)}


async def test_what_was_said_is_read_by_those_who_may_and_that_is_audited(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="ten chairs").run
    (claimed,) = await room.claim()
    await room.walk(
        claimed,
        Began(at=START),
        done("draft", START, "an offer"),
        ended=Ended(at=START, status="done", output="an offer"),
    )

    read = room.does("runs.read", run=run)

    assert (read.input, read.output, read.steps[0].words) == ("ten chairs", "an offer", "an offer")
    with pytest.raises(Forbidden):
        room.does("runs.read", by="anna", role="reviewer", run=run)
    assert room.database.read(lambda found: audited(found, "default", limit=5)) == []  # kept aside by these tests


async def test_a_run_is_told_to_end_and_whoever_comes_late_is_told_so(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="x").run

    room.does("runs.cancel", by="dora", run=run, reason="asked by mistake")
    (claimed,) = await room.claim()
    state = fold(claimed.entries)
    await room.journal.end(run, claimed.fence, Ended(at=START, status="cancelled", code="cancelled"))

    assert state.cancelled == Cancelled(at=START, by="dora", reason="asked by mistake")
    assert room.does("runs.trace", run=run).cancelled_by == "dora"
    with pytest.raises(Taken, match="is over: it is cancelled"):
        room.does("runs.cancel", run=run)


async def failed(room: Room) -> str:
    """A run that has failed in its third step, once a person had approved its second."""
    run: str = room.does("runs.submit", model="quote", input="ten chairs", subject="Köhler").run
    (claimed,) = await room.claim()
    await room.journal.append(
        run,
        claimed.fence,
        [Began(at=START), done("draft", START, "an offer"), room.asked("release", run, proposal="a")],
    )
    room.does("approvals.decide", by="anna", role="reviewer", id=f"{run}-release", decision="approve")
    await room.walk(
        claimed,
        done("release", START, {"answer": Decimal("1.10")}, cost=None),
        StepBegan(at=START, path="send", step="tool", effect="once"),
        StepFailed(at=START, path="send", step="tool", code="timeout", words="too slow"),
        ended=Ended(at=START, status="failed", code="timeout"),
    )
    return run


async def test_a_failed_run_goes_on_behind_what_was_done_as_a_new_one(room: Room) -> None:
    run = await failed(room)

    resumed = room.does("runs.resume", run=run)
    (claimed,) = await room.claim()
    state = fold(claimed.entries)

    assert (resumed.forked, resumed.kept) == (run, 4)
    assert list(state.steps) == ["draft", "release"]
    assert state.steps["release"].output == {"answer": Decimal("1.10")}
    assert (state.verdicts["release"].by, state.failures, state.begun, state.ended) == (("anna",), {}, {}, None)
    assert (claimed.submission.subject, claimed.submission.body) == ("Köhler", b'"ten chairs"')
    assert room.does("runs.trace", run=resumed.run).forked == run
    assert room.does("runs.trace", run=run).status == "failed"


async def test_a_run_is_done_again_from_a_step_on(room: Room) -> None:
    run = await failed(room)

    retried = room.does("runs.retry", run=run, step="release")
    (claimed,) = await room.claim()

    assert list(fold(claimed.entries).steps) == ["draft"]
    assert fold(claimed.entries).approvals == {}
    assert retried.kept == 1
    with pytest.raises(Unknown, match="no step 'nothing'"):
        room.does("runs.retry", run=run, step="nothing")


async def test_a_fork_says_first_what_will_be_different_and_goes_on_another_revision(room: Room) -> None:
    run = await failed(room)
    room.publish({"models": {**MODELS["models"], "quote": {"type": "echo", "says": "dear"}}})

    compared = room.does("runs.compare", run=run, at=2)
    forked = room.does("runs.fork", run=run, at=2)
    (claimed,) = await room.claim()

    assert (compared.kept, compared.steps, compared.again) == (1, ("draft",), ("release", "send"))
    assert [(change.path, change.after) for change in compared.changes] == [(("quote", "says"), "dear")]
    assert (forked.kept, claimed.submission.revision) == (1, compared.other)
    assert compared.other != compared.revision
    with pytest.raises(Invalid, match="the run has 8 entries"):
        room.does("runs.fork", run=run, at=99)


async def test_what_is_in_doubt_stays_in_doubt_in_a_fork(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="x").run
    (claimed,) = await room.claim()
    await room.walk(
        claimed,
        Began(at=START),
        StepBegan(at=START, path="send", step="tool", effect="once"),
        ended=Ended(at=START, status="failed", code="worker_lost"),
    )

    room.does("runs.resume", run=run)
    (again,) = await room.claim()

    assert list(fold(again.entries).begun) == ["send"]


async def test_a_run_that_goes_on_is_neither_resumed_nor_retried(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="x").run

    with pytest.raises(Taken, match="goes on by itself: it is ready"):
        room.does("runs.resume", run=run)
    with pytest.raises(Taken, match="goes on by itself: it is ready"):
        room.does("runs.retry", run=run, step="draft")


async def test_a_pause_is_told_as_one(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="x").run
    (claimed,) = await room.claim()
    await room.walk(claimed, Began(at=START), Slept(at=START, path="night", until=START + 100))
    room.now += 40

    told = room.does("runs.trace", run=run)

    assert [(step.path, step.step, step.state, step.waited) for step in told.steps] == [
        ("night", "pause", "waits", 40_000)
    ]


async def test_a_step_that_was_left_out_is_told_with_its_condition_and_looked_at_anew_elsewhere(
    room: Room,
) -> None:
    run = room.does("runs.submit", model="quote", input="x").run
    (claimed,) = await room.claim()
    await room.walk(
        claimed,
        Began(at=START),
        done("draft", START + 1, "x"),
        LeftOut(at=START + 1, path="check", step="check", when="draft.total > 5000"),
        ended=Ended(at=START + 1, status="failed", code="timeout"),
    )

    told = room.does("runs.trace", run=run)
    room.does("runs.resume", run=run)
    (again,) = await room.claim()

    assert [(step.path, step.step, step.state, step.reason) for step in told.steps][1:] == [
        ("check", "check", "skipped", "draft.total > 5000")
    ]
    assert (list(fold(again.entries).steps), fold(again.entries).left_out) == (["draft"], {})


async def test_nothing_of_another_tenants_runs_is_seen(room: Room) -> None:
    run = room.does("runs.submit", model="quote", input="x").run
    room.database.write(lambda found: found.exec_driver_sql("UPDATE runs SET tenant = 'acme'"))

    for name in ("runs.trace", "runs.cancel", "runs.resume", "runs.fork", "runs.compare", "runs.read"):
        with pytest.raises(Unknown):
            room.does(name, run=run)
