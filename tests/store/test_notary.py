"""Who signs the audit: soon, once, outside the database, and never a chain that was changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from dirigent.store import Database
from dirigent.store.audit import Entry, Told, append_many, checkpoints, verified
from dirigent.store.notary import AuditKey, Notary
from dirigent.store.verifier import Checkpoint, public_key, read_anchors

NOW = 1_795_500_000_000


def wrote(database: Database, count: int, tenant: str = "acme") -> None:
    told = [Told(tenant, NOW + number, Entry(actor="file", action="a.b")) for number in range(count)]
    database.write(lambda connection: append_many(connection, told))


def points(database: Database, tenant: str = "acme") -> list[Checkpoint]:
    return list(database.read(lambda connection: checkpoints(connection, tenant)))


def until(true: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come about within a minute")


@contextmanager
def running(notary: Notary) -> Iterator[Notary]:
    notary.start()
    try:
        yield notary
    finally:
        notary.close()


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first, second = AuditKey.within(tmp_path), AuditKey.within(tmp_path)

    assert first.public == second.public
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    assert public_key((tmp_path / "audit.pub").read_text()) == first.public


def test_a_chain_is_signed_at_start_and_stop_and_after_a_thousand_entries(database: Database, tmp_path: Path) -> None:
    wrote(database, 3)
    with running(Notary(database, AuditKey.within(tmp_path), tmp_path / "audit")):
        until(lambda: len(points(database)) == 1)
        wrote(database, 1_000)
        until(lambda: len(points(database)) == 2)
        wrote(database, 1)

    assert [(point.kind, point.seq) for point in points(database)] == [
        ("start", 3),
        ("checkpoint", 1_003),
        ("stop", 1_004),
    ]
    assert database.read(lambda connection: verified(connection, "acme")).ok


def test_few_entries_are_signed_within_a_minute(database: Database, tmp_path: Path) -> None:
    now = [NOW / 1000]
    notary = Notary(database, AuditKey.within(tmp_path), tmp_path / "audit", clock=lambda: now[0])
    wrote(database, 3)
    notary.round()
    wrote(database, 1)

    notary.round()
    early = len(points(database))
    now[0] += 61
    notary.round()

    assert (early, len(points(database))) == (1, 2)


def test_of_the_workers_of_a_folder_one_signs_and_another_takes_its_place(database: Database, tmp_path: Path) -> None:
    wrote(database, 1)
    key = AuditKey.within(tmp_path)
    with running(Notary(database, key, tmp_path / "audit")) as first:
        until(lambda: len(points(database)) == 1)
        with running(Notary(database, key, tmp_path / "audit")):
            time.sleep(0.1)
            assert len(points(database)) == 1
            first.close()
            until(lambda: [point.kind for point in points(database)] == ["start", "stop", "start"])


def test_two_nodes_sign_one_chain_and_both_are_verified(database: Database, tmp_path: Path) -> None:
    one = Notary(database, AuditKey.within(tmp_path / "one"), tmp_path / "one" / "audit")
    two = Notary(database, AuditKey.within(tmp_path / "two"), tmp_path / "two" / "audit")
    for notary in (one, two, one, two):
        wrote(database, 2)
        notary.sign("acme")

    verdict = database.read(lambda connection: verified(connection, "acme", trusted=[one.key.public, two.key.public]))

    assert verdict.ok
    assert verdict.signed == 8
    assert sorted(verdict.keys) == sorted([one.key.public, two.key.public])


def test_a_changed_chain_is_told_and_gets_no_signature_also_after_a_restart(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = AuditKey.within(tmp_path)
    notary = Notary(database, key, tmp_path / "audit")
    wrote(database, 5)
    notary.sign("acme")
    database.write(
        lambda connection: connection.execute(text("UPDATE audit_entries SET hash = 'ff' || substr(hash, 3)"))
    )
    wrote(database, 1)

    again = Notary(database, key, tmp_path / "audit")
    again.round("start")

    assert set(again.broken) == {"acme"}
    assert len(points(database)) == 1
    assert "acme" in caplog.text


def test_other_tenants_are_signed_where_one_is_broken(database: Database, tmp_path: Path) -> None:
    for tenant in ("acme", "zeta"):
        wrote(database, 2, tenant)
    database.write(
        lambda connection: connection.execute(text("DELETE FROM audit_entries WHERE tenant = 'acme' AND seq = 1"))
    )

    notary = Notary(database, AuditKey.within(tmp_path), tmp_path / "audit")
    notary.round("start")

    assert set(notary.broken) == {"acme"}
    assert len(points(database, "zeta")) == 1


def test_every_signature_is_also_kept_outside_the_database_and_told_to_every_place(
    database: Database, tmp_path: Path
) -> None:
    told: list[bytes] = []
    full = [True]

    def place(line: bytes) -> None:
        if full[0]:
            raise OSError
        told.append(line)

    notary = Notary(database, AuditKey.within(tmp_path), tmp_path / "audit", places=[place])
    for _ in range(2):
        wrote(database, 1)
        notary.round("order")
    assert notary.untold == 2

    full[0] = False
    notary.tell()

    kept = (tmp_path / "audit" / "acme.anchors").read_bytes()
    assert b"".join(told) == kept
    assert [point.seq for point in read_anchors(tmp_path / "audit" / "acme.anchors")] == [1, 2]
    assert notary.untold == 0


def test_an_empty_chain_is_not_signed(database: Database, tmp_path: Path) -> None:
    assert Notary(database, AuditKey.within(tmp_path), tmp_path / "audit").sign("acme") is None


def test_many_may_write_into_one_chain_at_once(database: Database, tmp_path: Path) -> None:
    def several(worker: int) -> None:
        for number in range(10):
            told = [
                Told(tenant, NOW + number, Entry(actor=f"key:{worker}", action="a.b")) for tenant in ("b", "a", "b")
            ]
            database.write(lambda connection, told=told: append_many(connection, told))  # type: ignore[misc]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(several, range(4)))
    notary = Notary(database, AuditKey.within(tmp_path), tmp_path / "audit")
    notary.round("order")

    found = [database.read(partial(verified, tenant=tenant)) for tenant in ("a", "b")]

    assert [(verdict.ok, verdict.entries) for verdict in found] == [(True, 40), (True, 80)]
