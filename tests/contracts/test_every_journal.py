"""What every journal promises: nothing is lost, one worker writes, and of several answers the first one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from dirigent.core.approvals import Question, Verdict
from dirigent.core.identity import Principal, Priority
from dirigent.core.journal import (
    Asked,
    Began,
    Cancelled,
    Decided,
    Ended,
    Entry,
    Fenced,
    Noted,
    StepEnded,
    Submission,
    fold,
)
from dirigent.core.ports import Journal
from dirigent.memory.journal import MemoryJournal
from dirigent.store import Database, aside, upgrade
from dirigent.store.journal import StoredJournal
from dirigent.store.vault import Vault

WHO = Principal("acme", "sales", "k-1")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class _World:
    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self.clock = clock


@pytest.fixture(params=["memory", "sqlite", "sqlite at once", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_World]:
    clock = Clock()
    if request.param == "memory":
        yield _World(MemoryJournal(clock), clock)
        return
    monkeypatch.setattr(aside, "_QUICK", 60.0 if request.param == "sqlite at once" else 0.0)
    monkeypatch.setattr(aside, "_IN_A_ROW", 1)
    database = Database.at(address(request, tmp_path))
    upgrade(database)
    journal = StoredJournal(database, Vault(database, tmp_path / "keys"), clock=clock)
    journal.start()
    yield _World(journal, clock)
    journal.close()
    database.close()


def address(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param != "postgresql":
        return f"sqlite:///{folder / 'dirigent.db'}"
    found: str = request.getfixturevalue("founded_postgres")
    return found


def a_run(run: str = "run-1", priority: Priority = "normal", **more: object) -> Submission:
    fields: dict[str, object] = {"run": run, "principal": WHO, "model": "m", "revision": "r", "body": b"{}"}
    return Submission(**{**fields, "priority": priority, **more})  # type: ignore[arg-type]


async def test_a_submitted_run_is_claimed_with_all_that_it_takes_and_by_nobody_else(world: _World) -> None:
    journal = world.journal
    submission = a_run(body=b'{"a": "\xc3\xa4"}', subject="Erika", sticky="Erika", headers=(("content-type", "x"),))

    assert await journal.submit(submission)
    (claim,) = await journal.claim("w", 2.0, 10)

    assert claim.submission == submission
    assert claim.entries == ()
    assert list(await journal.claim("v", 2.0, 10)) == []


async def test_a_run_is_taken_on_once(world: _World) -> None:
    assert await world.journal.submit(a_run(body=b"first"))
    assert not await world.journal.submit(a_run(body=b"second"))

    found = await world.journal.submission("run-1")

    assert found is not None
    assert found.body == b"first"
    assert await world.journal.submission("run-2") is None


async def test_what_was_written_is_read_back_to_the_digit(world: _World) -> None:
    journal = world.journal
    await journal.submit(a_run())
    (claim,) = await journal.claim("w", 2.0, 1)
    output = {"exact": Decimal("0.1000000000000000055511151231257827"), "words": "Grüße", "none": None, "list": [1, 2]}
    entries: list[Entry] = [
        Began(at=1.0, input={"text": "hello"}),
        StepEnded(at=2.0, path="a/b", step="call", output=output, facts={"score": 1}),
        Noted(at=3.0, path="n", value=False),
    ]

    await journal.append("run-1", claim.fence, entries)

    assert list(await journal.load("run-1")) == entries
    assert list(await journal.load("run-1", 2)) == entries[2:]
    assert list(await journal.load("run-2")) == []


async def test_who_lost_its_claim_writes_nothing(world: _World) -> None:
    journal, clock = world.journal, world.clock
    await journal.submit(a_run())
    (first,) = await journal.claim("w", 2.0, 1)
    clock.now += 2.5
    (second,) = await journal.claim("v", 2.0, 1)

    for late in (
        journal.append("run-1", first.fence, [Noted(at=1.0, path="late", value=1)]),
        journal.rest("run-1", first.fence, None),
        journal.end("run-1", first.fence, Ended(at=1.0, status="done")),
    ):
        with pytest.raises(Fenced):
            await late
    await journal.append("run-1", second.fence, [Noted(at=1.0, path="n", value=1)])

    assert second.fence > first.fence
    assert list(await journal.load("run-1")) == [Noted(at=1.0, path="n", value=1)]


async def test_a_claim_that_is_renewed_is_kept_and_one_that_is_not_is_lost(world: _World) -> None:
    journal, clock = world.journal, world.clock
    for run in ("run-1", "run-2"):
        await journal.submit(a_run(run))
    fences = {claim.submission.run: claim.fence for claim in await journal.claim("w", 2.0, 2)}
    clock.now += 1.5

    assert await journal.renew("w", {"run-1": fences["run-1"]}, 2.0) == {"run-1": None}
    clock.now += 1.0
    taken = await journal.claim("v", 2.0, 2)

    assert [claim.submission.run for claim in taken] == ["run-2"]
    assert await journal.renew("w", fences, 2.0) == {"run-1": None}
    assert await journal.renew("v", {"run-1": fences["run-1"]}, 2.0) == {}


async def test_a_run_that_waits_is_claimed_once_it_is_woken_and_knows_the_decision(world: _World) -> None:
    journal = world.journal
    await journal.submit(a_run())
    (claim,) = await journal.claim("w", 2.0, 1)
    asked = Asked(at=1.0, path="ok", approval="q-1", question=Question("Fine?", proposal={"a": 1}))
    await journal.append("run-1", claim.fence, [asked])
    await journal.rest("run-1", claim.fence, None)
    idle = await journal.claim("w", 2.0, 1)

    woken = await journal.wake("run-1", Decided(at=2.0, path="ok", approval="q-1", verdict=Verdict("approved")))
    (again,) = await journal.claim("w", 2.0, 1)

    assert list(idle) == []
    assert woken
    assert fold(again.entries).verdicts == {"ok": Verdict("approved")}
    assert again.entries[0] == asked


async def test_of_many_decisions_at_once_one_counts(world: _World) -> None:
    journal = world.journal
    await journal.submit(a_run())
    (claim,) = await journal.claim("w", 2.0, 1)
    await journal.append("run-1", claim.fence, [Asked(at=1.0, path="ok", approval="q")])
    await journal.rest("run-1", claim.fence, None)

    decisions = [Decided(at=2.0, path="ok", approval="q", verdict=Verdict("edited", answer=n)) for n in range(8)]
    said = await asyncio.gather(*(journal.wake("run-1", each) for each in decisions))

    assert sum(said) == 1
    entries = await journal.load("run-1")
    assert [each for each in entries if isinstance(each, Decided)] == [decisions[said.index(True)]]


async def test_a_decision_that_comes_while_the_run_is_about_to_wait_is_not_lost(world: _World) -> None:
    journal = world.journal
    await journal.submit(a_run())
    (claim,) = await journal.claim("w", 2.0, 1)
    await journal.append("run-1", claim.fence, [Asked(at=1.0, path="ok", approval="q")])

    assert await journal.wake("run-1", Decided(at=2.0, path="ok", approval="q", verdict=Verdict("approved")))
    await journal.rest("run-1", claim.fence, None)

    assert len(await journal.claim("w", 2.0, 1)) == 1


async def test_a_run_that_sleeps_is_claimed_at_its_time(world: _World) -> None:
    journal, clock = world.journal, world.clock
    await journal.submit(a_run())
    (claim,) = await journal.claim("w", 2.0, 1)
    await journal.rest("run-1", claim.fence, clock.now + 10)

    early = await journal.claim("w", 2.0, 1)
    soonest = await journal.soonest()
    clock.now += 10.001

    assert list(early) == []
    assert soonest == pytest.approx(10, abs=0.01)
    assert len(await journal.claim("w", 2.0, 1)) == 1


async def test_the_next_look_is_due_when_the_claim_of_a_worker_may_have_run_out(world: _World) -> None:
    journal, clock = world.journal, world.clock
    nothing = [*await journal.claim("w", 2.0, 1), await journal.soonest()]
    await journal.submit(a_run())
    await journal.claim("w", 2.0, 1)

    idle = [*await journal.claim("other", 2.0, 1), await journal.soonest()]
    clock.now += 2.5
    due = await journal.claim("other", 2.0, 1)

    assert nothing == [None]
    assert idle == [pytest.approx(2, abs=0.01)]
    assert len(due) == 1


async def test_a_run_that_starts_later_waits_for_its_time(world: _World) -> None:
    journal, clock = world.journal, world.clock
    await journal.submit(a_run(starts=clock.now + 5))

    early = await journal.claim("w", 2.0, 1)
    clock.now += 5.001

    assert list(early) == []
    assert len(await journal.claim("w", 2.0, 1)) == 1


async def test_the_order_to_end_reaches_who_walks_it_and_wakes_who_waits(world: _World) -> None:
    journal = world.journal
    for run in ("run-1", "run-2"):
        await journal.submit(a_run(run))
    fences = {claim.submission.run: claim.fence for claim in await journal.claim("w", 2.0, 2)}
    await journal.rest("run-2", fences["run-2"], None)
    order = Cancelled(at=3.0, by="m-1", reason="enough")

    assert await journal.wake("run-1", order)
    assert await journal.wake("run-2", order)

    assert await journal.renew("w", {"run-1": fences["run-1"]}, 2.0) == {"run-1": order}
    (woken,) = await journal.claim("w", 2.0, 2)
    assert woken.submission.run == "run-2"
    assert fold(woken.entries).cancelled == order


async def test_a_run_that_is_over_hears_nothing_and_is_never_claimed_again(world: _World) -> None:
    journal, clock = world.journal, world.clock
    await journal.submit(a_run())
    (claim,) = await journal.claim("w", 2.0, 1)
    ended = Ended(at=1.0, status="done", output={"text": "fine"})
    await journal.end("run-1", claim.fence, ended)
    clock.now += 100

    assert not await journal.wake("run-1", Cancelled(by="m"))
    assert not await journal.wake("run-9", Cancelled(by="m"))
    assert list(await journal.claim("w", 2.0, 1)) == []
    assert list(await journal.load("run-1")) == [ended]
    with pytest.raises(Fenced):
        await journal.append("run-1", claim.fence, [Noted(path="n", value=1)])


async def test_critical_runs_come_first_and_of_one_priority_the_longest_waiting(world: _World) -> None:
    journal, clock = world.journal, world.clock
    order: list[tuple[str, Priority]] = [
        ("bulk", "bulk"), ("old", "normal"), ("new", "normal"), ("now", "critical")
    ]  # fmt: skip
    for run, priority in order:
        await journal.submit(a_run(run, priority))
        clock.now += 1

    taken = [claim.submission.run for _ in range(4) for claim in await journal.claim("w", 20.0, 1)]

    assert taken == ["now", "old", "new", "bulk"]


async def test_many_workers_at_once_share_the_runs_and_none_gets_one_twice(world: _World) -> None:
    journal = world.journal
    for number in range(40):
        await journal.submit(a_run(f"run-{number}"))

    taken = await asyncio.gather(*(journal.claim(f"w-{number}", 20.0, 10) for number in range(8)))
    rest = await journal.claim("last", 20.0, 100)

    runs = [claim.submission.run for claims in (*taken, rest) for claim in claims]
    assert len(runs) == len(set(runs)) == 40


async def test_many_appends_at_once_are_all_there_each_in_its_order(world: _World) -> None:
    journal = world.journal
    for number in range(20):
        await journal.submit(a_run(f"run-{number}"))
    claims = await journal.claim("w", 20.0, 20)

    async def write(run: str, fence: int) -> None:
        for number in range(10):
            await journal.append(run, fence, [Noted(at=1.0, path=f"n{number}", value=number)])

    await asyncio.gather(*(write(claim.submission.run, claim.fence) for claim in claims))

    for claim in claims:
        entries = await journal.load(claim.submission.run)
        assert [each.value for each in entries if isinstance(each, Noted)] == list(range(10))
