"""What runs write down in brief: in one order whoever else writes, and at once where nobody has to be waited for."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from dirigent.core.approvals import Verdict
from dirigent.core.identity import Principal
from dirigent.core.journal import Decided, Fenced, LeftOut, Noted, Submission
from dirigent.store import Database, aside, journal_rows
from dirigent.store.aside import Aside
from dirigent.store.journal import Erased, StoredJournal
from dirigent.store.journal_rows import APPEND_BRIEF
from dirigent.store.runs import Runs
from dirigent.store.vault import Vault

WHO = Principal("acme", "sales", "k-1")


@pytest.fixture
def vault(database: Database, tmp_path: Path) -> Vault:
    return Vault(database, tmp_path / "keys")


@pytest.fixture
async def journal(database: Database, vault: Vault) -> AsyncIterator[StoredJournal]:
    made = StoredJournal(database, vault)
    made.start()
    yield made
    made.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_QUICK", 60.0)
    monkeypatch.setattr(aside, "_IN_A_ROW", 1)


async def begun(journal: StoredJournal, *runs: str) -> int:
    for run in runs:
        await journal.submit(Submission(run=run, principal=WHO, model="m", revision="r", subject="Quintus"))
    claims = await journal.claim("w", 60.0, len(runs))
    return claims[0].fence


def numbers(database: Database) -> list[int]:
    query = "SELECT seq FROM run_entries WHERE run = 'run-1' ORDER BY seq"
    return list(database.read(lambda connection: connection.execute(text(query)).scalars().all()))


async def test_words_from_outside_come_between_steps_and_no_number_is_given_twice(
    journal: StoredJournal, database: Database, vault: Vault
) -> None:
    fence = await begun(journal, "run-1", "run-2")
    runs = Runs(vault)

    async def steps(run: str) -> None:
        for number in range(40):
            await journal.append(run, fence, [Noted(path=f"n{number}", value=number)])

    async def decisions() -> None:
        for number in range(20):
            decided = Decided(path=f"d{number}", approval="q", verdict=Verdict("approved"))
            assert await database.writing(partial(runs.wake, run="run-1", entry=decided))

    await asyncio.gather(steps("run-1"), steps("run-2"), decisions(), decisions_by(journal, 20))
    entries = await journal.load("run-1")

    assert numbers(database) == list(range(1, 81))
    assert [entry.value for entry in entries if isinstance(entry, Noted)] == list(range(40))


async def decisions_by(journal: StoredJournal, many: int) -> None:
    for number in range(many):
        decided = Decided(path=f"e{number}", approval="q", verdict=Verdict("approved"))
        assert await journal.wake("run-1", decided)


async def test_of_many_in_one_transaction_who_lost_its_run_writes_nothing_and_the_others_do(
    journal: StoredJournal, database: Database
) -> None:
    fence = await begun(journal, *[f"run-{number}" for number in range(20)])
    entry = Noted(path="n", value="words")
    old = [journal.append(f"run-{number}", fence - (number % 2), [entry]) for number in range(20)]

    told = await asyncio.gather(*old, return_exceptions=True)

    assert [type(each) for each in told] == [type(None), Fenced] * 10
    assert len(await journal.load("run-0")) == 1
    assert len(await journal.load("run-1")) == 0


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_what_is_durable_is_not_written_again_where_something_beside_it_fails(
    journal: StoredJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = await begun(journal, "run-1", "run-2", "run-3")
    monkeypatch.setattr(journal_rows, "APPEND", "SELECT 1 FROM nowhere")
    entry = Noted(path="n", value="words")
    beside = [journal.append("run-1", fence, [entry]), journal.append("run-3", fence, [entry])]

    told = await asyncio.gather(*beside, journal.append("run-2", fence - 1, [entry]), return_exceptions=True)

    assert told[:2] == [None, None]
    assert isinstance(told[2], psycopg.errors.UndefinedTable)
    assert [len(await journal.load(f"run-{number}")) for number in (1, 2, 3)] == [1, 0, 1]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_what_the_server_refuses_fails_alone(journal: StoredJournal) -> None:
    fence = await begun(journal, "run-1", "run-2", "run-3")
    runs = {"run-1": "n", "run-2": "no\0path", "run-3": "n"}

    told = await asyncio.gather(
        *(journal.append(run, fence, [Noted(path=path, value=1)]) for run, path in runs.items()),
        return_exceptions=True,
    )

    assert [each is None for each in told] == [True, False, True]
    assert [len(await journal.load(run)) for run in runs] == [1, 0, 1]


async def test_several_entries_are_there_together_in_their_order(journal: StoredJournal) -> None:
    fence = await begun(journal, "run-1")
    left = LeftOut(at=1.0, path="a", step="set", when="false")

    await journal.append("run-1", fence, [left, Noted(at=1.0, path="n", value=1)])

    assert list(await journal.load("run-1")) == [left, Noted(at=1.0, path="n", value=1)]


async def test_a_run_whose_key_is_shredded_writes_nothing_more(journal: StoredJournal, database: Database) -> None:
    fence = await begun(journal, "run-1")
    await journal.append("run-1", fence, [Noted(path="a", value="words")])
    database.write(lambda connection: connection.execute(text("DELETE FROM subject_keys")))

    with pytest.raises(Erased):
        await journal.append("run-1", fence, [Noted(path="b", value="words")])

    assert numbers(database) == [1]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_statement_that_the_server_has_forgotten_is_told_it_again(
    journal: StoredJournal, database: Database
) -> None:
    fence = await begun(journal, "run-1")
    values = [("run-1", fence, 1, "noted", "n", "{}", None)] * 2

    with database.engine.connect() as connection:
        told = [APPEND_BRIEF.put_all(connection, values)]
        connection.exec_driver_sql("DEALLOCATE ALL")
        connection.commit()
        told += [APPEND_BRIEF.put_all(connection, values) for _ in range(2)]

    assert told == [[True, True], None, [True, True]]
    assert numbers(database) == [1, 2, 3, 4]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_server_that_spells_texts_its_own_way_gets_them_spelled(
    url: str, database: Database, vault: Vault
) -> None:
    other = Database.at(f"{url}{'&' if '?' in url else '?'}client_encoding=LATIN1")
    journal = StoredJournal(other, vault)
    journal.start()
    fence = await begun(journal, "run-1")

    await journal.append("run-1", fence, [Noted(at=1.0, path="größe", value="ü")])

    assert list(await journal.load("run-1")) == [Noted(at=1.0, path="größe", value="ü")]
    journal.close()
    other.close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("at_once")
async def test_while_another_process_writes_the_loop_waits_for_nobody(
    journal: StoredJournal, database: Database, tmp_path: Path
) -> None:
    fence = await begun(journal, "run-1")
    await journal.append("run-1", fence, [Noted(at=1.0, path="a", value=1)])
    await journal.append("run-1", fence, [Noted(at=1.0, path="b", value=2)])

    with closing(sqlite3.connect(tmp_path / "dirigent.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(journal.append("run-1", fence, [Noted(at=1.0, path="c", value=3)]))
        for _ in range(20):
            await asyncio.sleep(0)
        written = writing.done()
        other.execute("ROLLBACK")
    await writing

    assert not written
    assert [entry.value for entry in await journal.load("run-1") if isinstance(entry, Noted)] == [1, 2, 3]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("at_once")
async def test_others_on_the_loop_get_their_turns_while_a_run_takes_step_after_step(journal: StoredJournal) -> None:
    fence = await begun(journal, "run-1")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    for number in range(80):
        await journal.append("run-1", fence, [Noted(path=f"n{number}", value=number)])
    beside.cancel()

    assert turns >= 10


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("at_once")
async def test_what_is_put_at_once_does_not_let_the_log_of_the_database_grow(
    journal: StoredJournal, tmp_path: Path
) -> None:
    fence = await begun(journal, "run-1")

    for number in range(1_000):
        await journal.append("run-1", fence, [Noted(path=f"n{number}", value="x" * 4_000)])

    assert journal.transactions > 1_000
    assert (tmp_path / "dirigent.db-wal").stat().st_size < 16_000_000


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_writes_are_done_at_once_after_quick_ones_alone_and_not_for_long_after_a_slow_one(database: Database) -> None:
    beside = Aside(database, APPEND_BRIEF)

    def after(*seconds: float) -> bool:
        for each in seconds:
            beside.took(each)
        beside.open()
        return beside.ready

    quick, slow = 0.000_05, 0.004
    seen = [after(*[quick] * 7), after(quick), after(slow), after(*[quick] * 31), after(quick)]
    beside.close()

    assert seen == [False, True, False, False, True]
