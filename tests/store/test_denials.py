"""Refusals reach the audit once each, a flood of them in a few lines, whatever becomes of the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirigent.core.observations import Refused, Served
from dirigent.store import Database
from dirigent.store.audit import Kept, entries, verified
from dirigent.store.denials import Denials
from tests.store.absence import away

NOW = 1_795_500_000.0


def refused(**more: object) -> Refused:
    fields: dict[str, object] = {
        "at": NOW, "run": "run-1", "code": "forbidden", "rule": "the key k-1 denies 'dear'", "tenant": "acme",
        "key": "k-1", "purpose": "offers", "model": "dear", "revision": "3f9c2b714d05",
    }  # fmt: skip
    return Refused(**{**fields, **more})  # type: ignore[arg-type]


class Desk:
    """Who tells the audit, on a clock that is put forward by hand."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.now = NOW
        self.denials = Denials(database, folder, policy=lambda: "7", clock=lambda: self.now)

    def chain(self, tenant: str = "acme") -> list[Kept]:
        found = self.database.read(lambda connection: entries(connection, tenant, limit=500))
        return list(reversed(found))


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path / "spool")


def test_a_refusal_stands_in_the_chain_with_rule_and_purpose(desk: Desk) -> None:
    desk.denials.observe(refused())
    desk.denials.close()

    (entry,) = desk.chain()
    assert (entry.actor, entry.action, entry.resource, entry.decision) == (
        "key:k-1", "request.answer", "model:dear", "denied"
    )  # fmt: skip
    assert (entry.purpose, entry.policy, entry.revision, entry.request) == ("offers", "7", "3f9c2b714d05", "run-1")
    assert entry.words == "the key k-1 denies 'dear'"
    assert dict(entry.facts) == {"code": "forbidden"}


def test_what_is_alike_is_told_once_and_then_counted(desk: Desk) -> None:
    for number in range(1000):
        desk.denials.observe(refused(run=f"run-{number}", at=NOW + number / 100))
    desk.denials.tell()
    desk.now += 61
    desk.denials.tell()
    desk.denials.observe(refused(run="run-late", at=desk.now))
    desk.denials.close()

    first, counted, late = desk.chain()
    assert (first.request, late.request) == ("run-0", "run-late")
    assert counted.facts["times"] == 999
    assert desk.database.read(lambda connection: verified(connection, "acme")).faults == []


def test_a_flood_of_invalid_keys_is_two_lines_of_the_first_tenant(desk: Desk) -> None:
    stranger = refused(tenant=None, key=None, model=None, code="invalid_api_key", rule="the key is not valid")
    for _ in range(10_000):
        desk.denials.observe(stranger)
    desk.denials.close()

    first, counted = desk.chain("default")
    assert (first.actor, first.resource) == ("nobody", "")
    assert counted.facts["times"] == 9_999


def test_however_different_refusals_are_a_tenant_has_no_more_lines_a_minute_than_kinds_that_are_told_apart(
    desk: Desk,
) -> None:
    for number in range(5_000):
        desk.denials.observe(refused(key=f"k-{number}"))
    desk.denials.observe(refused(tenant="other"))
    desk.denials.close()

    assert len(desk.chain()) == 101
    assert sum(int(entry.facts.get("times") or 1) for entry in desk.chain()) == 5_000
    assert len(desk.chain("other")) == 1


def test_each_refusal_is_written_once_though_the_database_goes_and_the_process_ends(
    desk: Desk, database: Database, tmp_path: Path
) -> None:
    desk.denials.observe(refused(run="before"))
    desk.denials.outbox.flush()
    with away(database):
        desk.denials.observe(refused(run="during", model="other"))
        desk.denials.close()
    following = Desk(database, tmp_path / "spool")
    following.denials.start()
    following.denials.close()
    again = Desk(database, tmp_path / "spool")
    again.denials.start()
    again.denials.close()

    assert [entry.request for entry in desk.chain()] == ["before", "during"]
    assert desk.database.read(lambda connection: verified(connection, "acme")).faults == []


def test_what_was_answered_is_not_for_here(desk: Desk) -> None:
    desk.denials.observe(Served(NOW, "run-1", "run-1", "acme", "sales", "k-1", "/v1/messages"))
    desk.denials.close()

    assert desk.chain() == []
