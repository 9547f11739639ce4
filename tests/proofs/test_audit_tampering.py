"""Whoever has all rights on the database can do what they like to the audit, except unseen."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from io import BytesIO
from pathlib import Path
from time import process_time

import pytest
from sqlalchemy import Connection, text

from dirigent.store import Database
from dirigent.store.audit import Entry, Told, append, append_many, export, lines, verified
from dirigent.store.notary import AuditKey, ChainBroken, Notary
from dirigent.store.verifier import Verdict, genesis, linked, main
from tests.store.conftest import database, url

__all__ = ["database", "url"]  # fixtures, which pytest finds by their names here

NOW = 1_795_500_000_000
LENGTH = 40


class Archive:
    """A chain with a signature in its middle and one at its end, and whoever checks it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.time = NOW
        self.key = AuditKey.within(folder / "keys")
        self.notary = Notary(database, self.key, folder / "audit", clock=lambda: self.time / 1000)
        self.anchors = folder / "elsewhere.jsonl"

    def write(self, count: int, action: str = "keys.issue") -> None:
        for number in range(count):
            self.time += 1000
            entry = Entry(actor="member:m1", action=action, resource=f"key:{number}", facts={"days": number})
            self.database.write(partial(append, tenant="acme", entry=entry, now=self.time))

    def sign(self) -> None:
        self.notary.sign("acme")

    def anchor(self) -> None:
        """Takes what was signed to a place out of the reach of whoever holds the database."""
        shutil.copy(self.folder / "audit" / "acme.anchors", self.anchors)

    def tamper(self, *statements: str, **values: object) -> None:
        def work(connection: Connection) -> None:
            for statement in statements:
                connection.execute(text(statement), values)

        self.database.write(work)

    def verdict(self) -> Verdict:
        return self.database.read(lambda connection: verified(connection, "acme", trusted=[self.key.public]))

    def exported(self) -> Path:
        file = self.folder / "export.jsonl"
        with file.open("wb") as out:
            self.database.read(lambda connection: export(connection, "acme", out, self.time))
        return file

    def kinds(self, *, anchored: bool = False) -> set[str]:
        """The kinds of faults that are found, and found alike in an export by the verifier that stands alone."""
        arguments = [str(self.exported()), "--key", str(self.folder / "keys" / "audit.pub"), "--json"]
        arguments += ["--anchor", str(self.anchors)] if anchored else []
        found = subprocess.run(
            [sys.executable, "-I", str(self.folder / "verifier.py"), *arguments], capture_output=True, check=False
        )
        report = json.loads(found.stdout)
        assert (found.returncode == 0) == report["ok"]
        return {fault["kind"] for fault in report["faults"]}


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Archive:
    made = Archive(database, tmp_path)
    made.write(LENGTH // 2)
    made.sign()
    made.write(LENGTH // 2)
    made.sign()
    made.anchor()
    source = Path(sys.modules["dirigent.store.verifier"].__file__ or "")
    shutil.copy(source, tmp_path / "verifier.py")  # alone, as it is handed to an auditor
    return made


def _rewritten(connection: Connection, start: int) -> None:
    """Does what an insider does who knows the algorithm: changes an entry and makes every later hash fit again."""
    rows = connection.execute(text("SELECT seq, entry, hash FROM audit_entries ORDER BY seq")).all()
    before = genesis("acme")
    for seq, entry, hash_ in rows:
        changed = entry.replace('"keys.issue"', '"keys.rotate"') if seq >= start else entry
        before = linked(before, changed.encode()) if seq >= start else bytes.fromhex(hash_)
        connection.execute(
            text("""UPDATE audit_entries SET entry = :entry, hash = :hash, action = :action WHERE seq = :seq"""),
            {
                "seq": seq,
                "entry": changed,
                "hash": before.hex(),
                "action": "keys.rotate" if seq >= start else "keys.issue",
            },
        )
    connection.execute(text("UPDATE audit_heads SET hash = :hash"), {"hash": before.hex()})


def test_an_untouched_chain_is_whole_and_says_what_that_does_not_prove(archive: Archive) -> None:
    verdict = archive.verdict()

    assert verdict.ok
    assert (verdict.entries, verdict.first, verdict.last, verdict.signed) == (LENGTH, 1, LENGTH, LENGTH)
    assert any("what was written down is true" in limit for limit in verdict.not_proved)
    assert archive.kinds(anchored=True) == set()


def test_a_changed_entry_is_found(archive: Archive) -> None:
    archive.tamper("UPDATE audit_entries SET entry = replace(entry, 'key:7', 'key:8') WHERE seq = 8")

    assert next((fault.kind, fault.seq) for fault in archive.verdict().faults) == ("changed", 8)
    assert archive.kinds() == {"changed"}


def test_a_changed_hash_is_found(archive: Archive) -> None:
    archive.tamper("UPDATE audit_entries SET hash = :hash WHERE seq = 8", hash="0" * 64)

    assert archive.kinds() == {"changed"}


@pytest.mark.parametrize("seq", [1, 8, 20])
def test_a_deleted_entry_is_found(archive: Archive, seq: int) -> None:
    archive.tamper("DELETE FROM audit_entries WHERE seq = :seq", seq=seq)

    assert "missing" in archive.kinds()


def test_an_inserted_entry_is_found(archive: Archive) -> None:
    def work(connection: Connection) -> None:
        rows = connection.execute(text("SELECT * FROM audit_entries ORDER BY seq DESC")).mappings().all()
        for row in rows:
            seq = row["seq"]
            if seq < 8:
                continue
            moved = dict(row, seq=seq + 1, entry=row["entry"].replace(f'"seq":{seq},', f'"seq":{seq + 1},'))
            if seq > 8:
                connection.execute(text("DELETE FROM audit_entries WHERE seq = :seq"), {"seq": seq})
            connection.execute(
                text("""
                    INSERT INTO audit_entries (tenant, seq, at, actor, action, resource, entry, hash)
                    VALUES (:tenant, :seq, :at, :actor, :action, :resource, :entry, :hash)"""),
                moved,
            )
        connection.execute(text("UPDATE audit_heads SET seq = seq + 1"))

    archive.database.write(work)

    assert archive.kinds() >= {"changed"}
    assert not archive.verdict().ok


def test_an_entry_beyond_the_end_is_found(archive: Archive) -> None:
    archive.tamper(
        "INSERT INTO audit_entries (tenant, seq, at, actor, action, resource, entry, hash)"
        " SELECT tenant, 41, at, actor, action, resource, entry, hash FROM audit_entries WHERE seq = 40"
    )

    assert "extra" in {fault.kind for fault in archive.verdict().faults}


@pytest.mark.parametrize("columns", ["entry, hash", "entry"])
def test_swapped_entries_are_found(archive: Archive, columns: str) -> None:
    archive.tamper(
        "CREATE TEMPORARY TABLE pair AS SELECT seq, entry, hash FROM audit_entries WHERE seq IN (8, 9)",
        *(
            "UPDATE audit_entries SET X = (SELECT p.X FROM pair p WHERE p.seq = 17 - audit_entries.seq)"
            " WHERE seq IN (8, 9)".replace("X", column)
            for column in columns.split(", ")
        ),
        "DROP TABLE pair",
    )

    assert archive.kinds() & {"order", "changed", "missing"}


def test_a_row_that_says_something_else_than_its_entry_is_found(archive: Archive) -> None:
    archive.tamper("UPDATE audit_entries SET actor = 'member:m2' WHERE seq = 8")

    assert [(fault.kind, fault.seq) for fault in archive.verdict().faults] == [("changed", 8)]


def test_a_truncated_chain_is_found_by_its_signatures(archive: Archive) -> None:
    archive.tamper(
        "DELETE FROM audit_entries WHERE seq > 30",
        "UPDATE audit_heads SET seq = 30, hash = (SELECT hash FROM audit_entries WHERE seq = 30)",
    )

    assert archive.kinds() == {"truncated"}


def test_a_chain_truncated_together_with_its_signatures_is_found_by_an_anchor(archive: Archive) -> None:
    archive.tamper(
        "DELETE FROM audit_entries WHERE seq > 20",
        "DELETE FROM audit_checkpoints WHERE seq > 20",
        "UPDATE audit_heads SET seq = 20, hash = (SELECT hash FROM audit_entries WHERE seq = 20)",
    )

    assert archive.kinds() == set(), "nothing in the database can tell: that is what anchors are for"
    assert archive.kinds(anchored=True) == {"truncated"}


def test_a_fork_is_found_by_an_anchor(archive: Archive) -> None:
    archive.tamper(
        "DELETE FROM audit_entries WHERE seq > 20",
        "DELETE FROM audit_checkpoints WHERE seq > 20",
        "UPDATE audit_heads SET seq = 20, signed = 20, hash = (SELECT hash FROM audit_entries WHERE seq = 20)",
    )
    archive.write(LENGTH // 2, action="keys.revoke")  # an old backup that was put back and went on

    assert archive.kinds(anchored=True) == {"forked"}


def test_a_chain_rewritten_from_the_middle_is_found_by_its_signatures(archive: Archive) -> None:
    archive.database.write(lambda connection: _rewritten(connection, 10))

    assert archive.kinds() == {"forked"}


def test_a_chain_rewritten_from_its_beginning_without_its_signatures_is_found(archive: Archive) -> None:
    archive.time += 3_600_000
    archive.write(1)  # and it has been going on for more than an hour
    archive.database.write(lambda connection: _rewritten(connection, 1))
    archive.tamper("DELETE FROM audit_checkpoints")

    assert archive.kinds() == {"unsigned"}
    assert archive.kinds(anchored=True) == {"unsigned", "forked"}


def test_signatures_of_a_foreign_key_vouch_for_nothing(archive: Archive, tmp_path: Path) -> None:
    archive.time += 3_600_000
    archive.write(1)
    archive.database.write(lambda connection: _rewritten(connection, 1))
    archive.tamper("DELETE FROM audit_checkpoints")
    forger = AuditKey.within(tmp_path / "forger")
    Notary(archive.database, forger, tmp_path / "forged", clock=lambda: archive.time / 1000).sign("acme")

    assert archive.kinds() == {"unsigned"}


def test_a_forged_signature_is_found(archive: Archive) -> None:
    archive.tamper("UPDATE audit_checkpoints SET statement = replace(statement, '20', '19') WHERE number = 1")

    assert "signature" in archive.kinds()


def test_a_removed_signature_is_found(archive: Archive) -> None:
    archive.tamper("DELETE FROM audit_checkpoints WHERE number = 1")

    assert archive.kinds() == {"missing"}


def test_a_clock_that_went_back_is_found(archive: Archive) -> None:
    def work(connection: Connection) -> None:
        row = connection.execute(text("SELECT entry FROM audit_entries WHERE seq = 8")).scalar() or ""
        older = row.replace(f'"at":{NOW + 8000}', f'"at":{NOW}')
        assert older != row
        rows = connection.execute(text("SELECT seq, entry, hash FROM audit_entries ORDER BY seq")).all()
        before = genesis("acme")
        for seq, entry, _ in rows:
            changed = older if seq == 8 else entry
            before = linked(before, changed.encode())
            connection.execute(
                text("UPDATE audit_entries SET entry = :entry, hash = :hash WHERE seq = :seq"),
                {"seq": seq, "entry": changed, "hash": before.hex()},
            )

    archive.database.write(work)

    assert "clock" in archive.kinds()


def test_a_writer_whose_clock_goes_back_says_so_and_breaks_nothing(archive: Archive) -> None:
    archive.time -= 5_000
    archive.write(1)
    archive.sign()

    last = archive.database.read(lambda connection: list(lines(connection, "acme"))[-1])

    assert b'"late_ms":4000' in last
    assert archive.verdict().ok


def test_nobody_signs_a_chain_that_was_rewritten(archive: Archive) -> None:
    archive.write(3)
    archive.database.write(lambda connection: _rewritten(connection, 5))

    with pytest.raises(ChainBroken):
        archive.sign()


def test_nobody_signs_what_was_changed_since_the_last_signature(archive: Archive) -> None:
    archive.write(3)
    archive.tamper("UPDATE audit_entries SET entry = replace(entry, 'key:1', 'key:2') WHERE seq = 42")

    with pytest.raises(ChainBroken, match="entry 42"):
        archive.sign()


def test_a_pruned_chain_is_whole_and_its_pruning_signed(archive: Archive) -> None:
    gone = archive.notary.prune("acme", NOW + 15_500)
    archive.write(2)
    archive.sign()

    verdict = archive.verdict()

    assert gone == 15
    assert verdict.ok
    assert (verdict.first, verdict.entries) == (16, LENGTH + 2 - 15)
    assert archive.kinds(anchored=True) == set()


def test_a_pruning_that_nobody_signed_is_found(archive: Archive) -> None:
    archive.tamper("DELETE FROM audit_entries WHERE seq <= 15")

    assert archive.kinds() == {"missing"}


def test_a_pruned_chain_may_be_pruned_and_signed_again(archive: Archive) -> None:
    archive.notary.prune("acme", NOW + 25_500)
    archive.write(5)
    archive.sign()
    archive.notary.prune("acme", NOW + 41_500)
    again = Notary(archive.database, archive.key, archive.folder / "audit", clock=lambda: archive.time / 1000)
    again.sign("acme")

    verdict = archive.verdict()

    assert verdict.ok, verdict.faults
    assert verdict.first == 42


def test_an_export_that_was_cut_short_is_found(archive: Archive) -> None:
    file = archive.exported()
    rows = file.read_bytes().splitlines(keepends=True)

    file.write_bytes(b"".join(rows[:-3]))

    assert main([str(file), "--key", str(archive.folder / "keys" / "audit.pub")]) == 1


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.prove)])
def test_a_long_chain_is_verified_within_seconds(
    tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "export.jsonl"
    before = genesis("acme")
    with file.open("wb") as out:
        out.write(b'{"chain":{"format":1,"tenant":"acme","at":0,"seq":0,"hash":""}}\n')
        for seq in range(1, count + 1):
            entry = b'{"seq":%d,"at":%d,"tenant":"acme","actor":"key:k1","action":"request.answer","resource":' % (
                seq,
                NOW,
            )
            entry += b'"model:premium","decision":"denied","purpose":"support","policy":"r17","revision":"3fa9c2e1b7d0"'
            entry += b',"request":"req-%032d","commitments":{"answered":"%064x","asked":"%064x"}}' % (seq, seq, seq)
            before = linked(before, entry)
            out.write(b'{"hash":"%s","entry":%s}\n' % (before.hex().encode(), entry))

    begun = process_time()
    code = main([str(file), "--json"])
    seconds = process_time() - begun

    assert code == 0
    assert json.loads(capsys.readouterr().out)["entries"] == count
    assert seconds < max(30.0, 12e-6 * count), f"{seconds / count * 1e6:.1f} µs an entry"


def test_an_entry_tells_of_no_person_and_no_text(database: Database) -> None:
    with pytest.raises(Exception, match="no id"):
        database.write(lambda connection: append(connection, "acme", Entry(actor="anna@example.org", action="x"), NOW))


def test_tenants_have_chains_of_their_own(database: Database) -> None:
    told = [Told(f"t{number % 3}", NOW + number, Entry(actor="file", action="a.b")) for number in range(9)]
    database.write(lambda connection: append_many(connection, told))

    out = BytesIO()
    database.read(lambda connection: export(connection, "t1", out, NOW))

    assert out.getvalue().count(b'"tenant":"t1"') == 4
    assert b'"t2"' not in out.getvalue()
    for tenant in ("t0", "t1", "t2"):
        assert database.read(partial(verified, tenant=tenant)).entries == 3
