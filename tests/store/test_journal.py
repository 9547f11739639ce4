"""The journal in the database: sealed at rest, shredded with its subject, kept as long as its purpose says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, text

from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import Invalid, TooLarge
from dirigent.core.identity import Principal
from dirigent.core.journal import Asked, Began, Decided, Ended, Entry, Noted, StepEnded, Submission
from dirigent.core.observations import Served, Walked
from dirigent.core.purposes import Purpose, Retention
from dirigent.store import Database, files
from dirigent.store.approvals import Approvals, Vote
from dirigent.store.bodies import Bodies
from dirigent.store.deliveries import deliver_end
from dirigent.store.files import StoredFiles
from dirigent.store.journal import Erased, StoredJournal
from dirigent.store.journal_keeping import forget_runs
from dirigent.store.pulse import bump
from dirigent.store.purposes import Registered, keep_purpose
from dirigent.store.runs import Runs
from dirigent.store.usage import DAY
from dirigent.store.vault import KeyLost, Vault
from dirigent.store.walks import Walks
from tests.store.ground import NOW, settle_in

SECRET = "Quintus wants the blue one"
WHO = Principal("acme", "sales", "k-1", "m-1")


class World:
    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.now = NOW / 1000
        self.vault = Vault(database, folder / "keys", clock=lambda: self.now)
        self.asked: list[tuple[str, str]] = []
        self.ended: list[str] = []
        self.journal = StoredJournal(
            database, self.vault, asked=self._asked, over=lambda _, run, __: self.ended.append(run),
            clock=lambda: self.now,
        )  # fmt: skip
        self.files = StoredFiles(database, self.vault)
        self.runs = Runs(self.vault)

    def _asked(self, connection: Connection, submission: Submission, asked: Asked) -> None:
        connection.execute(text("SELECT 1"))
        self.asked.append((submission.run, asked.path))

    async def begun(self, run: str = "run-1", **more: object) -> int:
        fields: dict[str, object] = {
            "run": run, "principal": WHO, "model": "m", "revision": "r", "body": SECRET.encode(), "subject": "Quintus",
            "purpose": "offers",
        }  # fmt: skip
        await self.journal.submit(Submission(**{**fields, **more}))  # type: ignore[arg-type]
        (claim,) = await self.journal.claim("w", 10.0, 1)
        return claim.fence

    def count(self, query: str) -> int:
        return int(self.database.read(lambda connection: connection.execute(text(query)).scalar()) or 0)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    database.write(settle_in)
    made = World(database, tmp_path)
    made.journal.start()
    yield made
    made.journal.close()


async def test_no_word_of_content_stands_in_the_tables(world: World) -> None:
    fence = await world.begun()
    step = StepEnded(path="a", step="call", output={"text": SECRET}, facts={"score": 1})
    await world.journal.append("run-1", fence, [Began(input={"text": SECRET}), step])
    await world.files.keep("acme", "run-1", "offer.txt", "text/plain", SECRET.encode(), subject="Quintus")
    await world.journal.end("run-1", fence, Ended(status="done", output={"text": SECRET}))

    if world.database.lite:
        stored = b"".join(path.read_bytes() for path in world.folder.glob("dirigent.db*"))
    else:
        rows = world.database.read(
            lambda connection: [
                str(connection.execute(text(f"SELECT * FROM {table}")).all())  # noqa: S608
                for table in ("runs", "run_entries", "run_files", "subject_keys")
            ]
        )
        stored = "".join(rows).encode()
    assert b"blue" not in stored
    assert b"Quintus" not in stored
    found = await world.journal.load("run-1")
    assert found[1] == msgspec.structs.replace(step, at=0.0)


async def test_a_question_and_an_end_are_told_in_the_same_transaction(world: World) -> None:
    fence = await world.begun()
    await world.journal.append("run-1", fence, [Asked(path="ok", approval="q", question=Question("Fine?"))])
    await world.journal.end("run-1", fence, Ended(status="failed", code="x"))

    assert world.asked == [("run-1", "ok")]
    assert world.ended == ["run-1"]


async def test_a_decision_wakes_its_run_in_the_transaction_that_keeps_it(world: World) -> None:
    fence = await world.begun()
    await world.journal.append("run-1", fence, [Asked(path="ok", approval="q")])
    await world.journal.rest("run-1", fence, None)
    decided = Decided(path="ok", approval="q", verdict=Verdict("approved", answer=SECRET))

    def failing(connection: Connection) -> None:
        assert world.runs.wake(connection, "run-1", decided)
        raise Invalid("it went wrong after all")

    with pytest.raises(Invalid):
        world.database.write(failing)
    idle = await world.journal.claim("w", 10.0, 1)
    first = world.database.write(lambda connection: world.runs.wake(connection, "run-1", decided))
    second = world.database.write(lambda connection: world.runs.wake(connection, "run-1", decided))

    assert list(idle) == []
    assert (first, second) == (True, False)
    assert len(await world.journal.claim("w", 10.0, 1)) == 1


async def test_of_many_decisions_in_transactions_at_once_one_counts(world: World) -> None:
    fence = await world.begun()
    await world.journal.rest("run-1", fence, None)

    def deciding(number: int) -> Callable[[Connection], bool]:
        decided = Decided(path="ok", approval="q", verdict=Verdict("edited", answer=number))
        return lambda connection: world.runs.wake(connection, "run-1", decided)

    said = await asyncio.gather(*(world.database.writing(deciding(number)) for number in range(8)))

    assert sum(said) == 1


async def test_a_subject_that_is_erased_takes_its_runs_along(world: World) -> None:
    fence = await world.begun()
    await world.journal.append("run-1", fence, [Noted(path="n", value=SECRET)])
    kept = await world.files.keep("acme", "run-1", "offer.txt", "text/plain", b"offer")
    world.database.write(lambda connection: Bodies(world.vault).shred(connection, "acme", "quintus"))
    world.journal.refresh()

    with pytest.raises(Erased):
        await world.journal.append("run-1", fence, [Noted(path="m", value=SECRET)])
    await world.journal.rest("run-1", fence, None)
    world.now += 1
    world.database.write(lambda connection: bump(connection, "runs"))
    await world.journal.wake("run-1", Decided(path="ok", approval="q"))
    claims = await world.journal.claim("w", 10.0, 1)

    assert list(claims) == []
    entries: list[Entry] = list(await world.journal.load("run-1"))
    assert isinstance(entries[-1], Ended)
    assert entries[-1].code == "erased"
    assert [entry.value for entry in entries if isinstance(entry, Noted)] == [None]
    with pytest.raises(KeyLost):
        await world.files.read("acme", kept.file)


async def test_bodies_stay_a_day_and_then_as_long_as_the_purpose_says_and_facts_with_the_records(world: World) -> None:
    purpose = Registered("acme", Purpose("offers", models=("*",), retention=Retention(bodies=0, records=30)), 2)
    world.database.write(lambda connection: keep_purpose(connection, purpose, bump(connection, "rights")))
    fence = await world.begun()
    await world.journal.append("run-1", fence, [Noted(path="n", value=SECRET)])
    await world.journal.end("run-1", fence, Ended(status="done", output=SECRET))
    await world.begun("run-2")

    early = forget_runs(world.database, NOW + DAY - 1)
    emptied = forget_runs(world.database, NOW + DAY + 1)
    after = await world.journal.load("run-1")
    gone = forget_runs(world.database, NOW + 31 * DAY)

    assert early == (0, 0)
    assert emptied == (1, 0)
    assert [type(entry).__name__ for entry in after] == ["Noted", "Ended"]
    assert isinstance(after[0], Noted)
    assert after[0].value is None
    assert gone == (0, 1)
    assert world.count("SELECT count(*) FROM runs") == 1
    assert world.count("SELECT count(*) FROM run_entries") == 0


async def test_questions_go_with_the_bodies_and_the_records_of_their_runs(world: World) -> None:
    purpose = Registered("acme", Purpose("offers", models=("*",), retention=Retention(bodies=2, records=30)), 2)
    world.database.write(lambda connection: keep_purpose(connection, purpose, bump(connection, "rights")))
    approvals = Approvals(world.vault, world.runs.wake)
    for run in ("run-1", "run-2"):
        fence = await world.begun(run)
        submission = await world.journal.submission(run)
        assert submission is not None
        asked = Asked(path="ok", approval=f"q-{run}", question=Question("Fine?", proposal=SECRET))
        world.database.write(partial(approvals.keep, submission=submission, asked=asked, now=NOW))
        kept = world.database.read(partial(approvals.find, tenant="acme", id_=f"q-{run}"))
        assert kept is not None
        vote = Vote("m-2", 1, "rejected", NOW, reason=SECRET)
        world.database.write(partial(approvals.vote, kept=kept, vote=vote))
        world.database.write(partial(deliver_end, run=run, ended=Ended(status="done"), now=NOW))
        if run == "run-1":
            await world.journal.end(run, fence, Ended(status="done"))
    sealed = "SELECT count(*) FROM approvals a JOIN approval_votes v ON v.approval = a.id WHERE a.sealed IS NOT NULL"
    sealed += " AND v.sealed IS NOT NULL"

    forget_runs(world.database, NOW + 2 * DAY - 1)
    before = world.count(sealed)
    forget_runs(world.database, NOW + 2 * DAY + 1)
    after = world.count(sealed), world.count("SELECT count(*) FROM approvals")
    forget_runs(world.database, NOW + 31 * DAY)

    assert before == 2
    assert after == (1, 2)  # the other run goes on, however old it is
    for table in ("approvals", "approval_votes", "approval_deciders", "run_deliveries"):
        name = "id" if table == "approvals" else "run" if table == "run_deliveries" else "approval"
        assert world.count(f"SELECT count(*) FROM {table} WHERE {name} LIKE '%run-1'") == 0  # noqa: S608 -- no input
    assert world.count("SELECT count(*) FROM approvals") == 1


async def test_a_decision_is_told_to_this_node_once_it_is_durable_and_not_if_it_is_not(world: World) -> None:
    fence = await world.begun()
    await world.journal.rest("run-1", fence, None)
    found: list[int] = []
    due = "SELECT count(*) FROM runs WHERE status = 'ready'"
    runs = Runs(world.vault, news=lambda: found.append(world.count(due)))
    decided = Decided(path="ok", approval="q", verdict=Verdict("approved", answer=1))

    def in_vain(connection: Connection) -> None:
        runs.wake(connection, "run-1", decided)
        raise Invalid("it is not to be")

    with pytest.raises(Invalid):
        await world.database.writing(in_vain)
    world.database.write(lambda connection: connection.execute(text("SELECT 1")))
    told_of_none = list(found)
    await world.database.writing(partial(runs.wake, run="run-1", entry=decided))

    assert told_of_none == []
    assert found == [1]


async def test_a_run_that_takes_every_worker_along_is_given_up(world: World) -> None:
    await world.begun()

    for _ in range(5):
        world.now += 11
        assert len(await world.journal.claim("w", 10.0, 1)) == 1
    world.now += 11
    claims = await world.journal.claim("w", 10.0, 1)

    assert list(claims) == []
    (ended,) = await world.journal.load("run-1")
    assert isinstance(ended, Ended)
    assert ended.code == "worker_lost"


async def test_a_node_without_the_keys_leaves_runs_to_others(world: World, tmp_path: Path) -> None:
    fence = await world.begun()
    await world.journal.rest("run-1", fence, world.now)
    stranger = StoredJournal(
        world.database, Vault(world.database, tmp_path / "elsewhere"), clock=lambda: world.now
    )  # fmt: skip
    stranger.start()

    assert list(await stranger.claim("stranger", 10.0, 1)) == []
    stranger.close()
    assert len(await world.journal.claim("w", 10.0, 1)) == 1


async def test_a_file_is_there_once_and_for_its_tenant_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.begun()
    first = await world.files.keep("acme", "run-1", "a.txt", "text/plain", b"words")
    again = await world.files.keep("acme", "run-1", "a.txt", "text/plain", b"words")
    other = await world.files.keep("acme", "run-1", "a.txt", "text/plain", b"other words")
    monkeypatch.setattr(files, "LARGEST", 4)

    assert first == again != other
    assert await world.files.read("acme", first.file) == (first, b"words")
    with pytest.raises(Invalid):
        await world.files.read("default", first.file)
    with pytest.raises(TooLarge):
        await world.files.keep("acme", "run-1", "b.txt", "text/plain", b"words")


async def test_the_steps_of_a_request_are_kept_without_a_word_of_content(world: World) -> None:
    walks = Walks(world.database, world.folder / "spool")
    walks.start()
    served = Served(
        at=world.now, run="run-9", request="r", tenant="acme", project="sales", key="k-1", path="/v1", seconds=2.0
    )  # fmt: skip
    step = StepEnded(at=1.0, path="a", step="call", output=SECRET, facts={"score": 1})

    walks.observe(Walked(served, (step,)))
    walks.close()

    found = await world.journal.load("run-9")
    assert found[0] == msgspec.structs.replace(step, output=None)
    assert isinstance(found[1], Ended)
    assert found[1].status == "done"
    submission = await world.journal.submission("run-9")
    assert submission is not None
    assert submission.submitted == world.now - 2.0
    assert world.count("SELECT count(*) FROM runs WHERE due IS NOT NULL") == 0
