"""The laws of the journal hold whatever happens, and the machine that says so sees each fault that is planted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import text

from dirigent.core.journal import Entry, Fenced
from dirigent.store import Database, aside, journal_rows, upgrade
from dirigent.store.brief import Brief
from dirigent.store.journal import StoredJournal
from tests.store.journal_machine import JournalMachine

PROGRAMS = int(os.environ.get("JOURNAL_PROGRAMS", "0"))
"""How many programs the machine makes up; more of them than in the suite for a proof."""


@pytest.fixture
def swift(tmp_path: Path) -> Iterator[Database]:
    """An embedded database on a disk that waits for nothing, where there is one."""
    fast = Path("/dev/shm")  # noqa: S108
    file = (fast if fast.is_dir() else tmp_path) / f"journal-{os.getpid()}.db"
    found = Database.at(f"sqlite:///{file}")
    upgrade(found)
    yield found
    found.close()
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


def run(found: Database, many: int, kind: type[StoredJournal] = StoredJournal, **more: Any) -> None:
    machine = type("Machine", (JournalMachine,), {"database": found, "kind": kind})
    how = settings(
        max_examples=PROGRAMS or many,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        **more,
    )
    run_state_machine_as_test(machine, settings=how)


def test_the_laws_hold_on_the_embedded_database(swift: Database) -> None:
    run(swift, 40)


def test_the_laws_hold_where_entries_are_put_at_once(swift: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_QUICK", 60.0)
    monkeypatch.setattr(aside, "_IN_A_ROW", 1)

    run(swift, 40)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_laws_hold_on_the_shared_database(database: Database) -> None:
    run(database, 6)


# --- planted faults ---------------------------------------------------------------------------------------------------


class NoFence(StoredJournal):
    """Lets whoever ever had a run write into it."""

    async def append(self, run: str, fence: int, entries: Sequence[Entry]) -> None:
        for each in (fence, *range(fence + 1, fence + 6)):
            with suppress(Fenced):
                return await super().append(run, each, entries)
        raise Fenced("nobody")


def _no_fence(patch: pytest.MonkeyPatch, database: Database) -> type[StoredJournal]:
    return NoFence


def _no_fence_in_brief(patch: pytest.MonkeyPatch, database: Database) -> type[StoredJournal]:
    whole = journal_rows.APPEND_BRIEF
    patch.setattr(journal_rows, "APPEND_BRIEF", Brief(whole.name, whole.lite.replace("fence = ?2", "fence >= ?2"), ""))
    return StoredJournal


def _no_lease(patch: pytest.MonkeyPatch, database: Database) -> type[StoredJournal]:
    patch.setattr(journal_rows, "CLAIM", journal_rows.CLAIM.replace("due <= :now", "due <= :now + 60000"))
    return StoredJournal


def _two_decisions(patch: pytest.MonkeyPatch, database: Database) -> type[StoredJournal]:
    database.write(lambda connection: connection.execute(text("DROP INDEX run_entries_one_decision")))
    patch.setattr(journal_rows, "WAKE_ONCE", journal_rows.WAKE)
    return StoredJournal


def _forgotten_news(patch: pytest.MonkeyPatch, database: Database) -> type[StoredJournal]:
    patch.setattr(journal_rows, "REST", journal_rows.REST.replace("news = 1", "news = 2"))
    return StoredJournal


@pytest.mark.parametrize("plant", [_no_fence, _no_fence_in_brief, _no_lease, _two_decisions, _forgotten_news])
def test_the_machine_sees_a_planted_fault(swift: Database, monkeypatch: pytest.MonkeyPatch, plant: Any) -> None:
    kind = plant(monkeypatch, swift)

    with pytest.raises((AssertionError, Flaky, ExceptionGroup)):
        run(swift, 300, kind, derandomize=True, database=None, report_multiple_bugs=False)
