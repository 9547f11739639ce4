"""The audit, as those who may look at it see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from dirigent.control import OPERATIONS, Doors
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import Forbidden, Unavailable
from dirigent.store.notary import AuditKey, Notary, folder
from dirigent.store.verifier import main
from tests.control.office import Office


@pytest.fixture
def archive(office: Office, tmp_path: Path) -> Office:
    """An office whose audit is signed, and whose anchors go to a folder elsewhere."""
    notary = Notary(
        office.database,
        AuditKey.within(tmp_path / "keys"),
        tmp_path / "audit",
        places=[folder(tmp_path / "elsewhere")],
        clock=lambda: office.now,
    )
    office.plane = ControlPlane(office.database, OPERATIONS, Doors(notary=notary), clock=lambda: office.now)
    return office


def test_operations_and_refusals_stand_in_the_audit(archive: Office) -> None:
    issued = archive.does("keys.issue")
    with pytest.raises(Forbidden):
        archive.does("keys.issue", by="viewer")

    refused, done = archive.does("audit.list", action="keys.*").entries

    assert (done.seq, done.actor, done.action, done.decision) == (1, "operator", "keys.issue", "permitted")
    assert (refused.seq, refused.actor, refused.decision) == (2, "member:m-viewer", "denied")
    assert issued.id in done.resource
    assert issued.key not in str(archive.does("audit.list"))


def test_the_audit_is_verified(archive: Office) -> None:
    for _ in range(3):
        archive.does("keys.issue")
    archive.does("audit.anchor")

    verdict = archive.does("audit.verify")

    assert verdict.ok
    assert (verdict.entries, verdict.signed, verdict.anchors) == (4, 4, 1)
    assert verdict.not_proved


def test_a_changed_entry_is_told(archive: Office) -> None:
    for _ in range(3):
        archive.does("keys.issue")
    archive.database.write(
        lambda connection: connection.execute(
            text("UPDATE audit_entries SET entry = replace(entry, 'keys.issue', 'keys.erase') WHERE seq = 2")
        )
    )

    verdict = archive.does("audit.verify")

    assert not verdict.ok
    assert [(fault.kind, fault.seq) for fault in verdict.faults][:1] == [("changed", 2)]


def test_an_export_is_verified_by_the_verifier_that_stands_alone(archive: Office, tmp_path: Path) -> None:
    for _ in range(5):
        archive.does("keys.issue")
    anchored = archive.does("audit.anchor")
    (tmp_path / "anchor").write_text(anchored.line + "\n")

    page = archive.does("audit.export")

    assert page.after is None
    (tmp_path / "export").write_text("".join(f"{line}\n" for line in page.lines))
    key = str(tmp_path / "keys" / "audit.pub")
    assert main([str(tmp_path / "export"), "--key", key, "--anchor", str(tmp_path / "anchor")]) == 0
    kept = str(tmp_path / "elsewhere" / "dirigent.anchors")
    assert main([str(tmp_path / "export"), "--key", key, "--anchor", kept]) == 0


def test_old_entries_are_removed_and_the_rest_is_still_verified(archive: Office) -> None:
    archive.does("keys.issue")
    archive.now += 200 * 86_400
    archive.does("keys.issue")

    gone = archive.does("audit.prune", days=180).entries

    assert gone == 1
    verdict = archive.does("audit.verify")
    assert verdict.ok
    assert verdict.first == 2


def test_a_place_that_takes_no_anchor_is_told_again_later(archive: Office, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("in the way")
    archive.does("keys.issue")
    archive.does("audit.anchor")
    (tmp_path / "elsewhere").unlink()

    archive.does("audit.anchor")

    assert len((tmp_path / "elsewhere" / "dirigent.anchors").read_text().splitlines()) == 2


def test_without_a_key_nothing_is_signed(office: Office) -> None:
    with pytest.raises(Unavailable):
        office.does("audit.anchor")
    assert office.does("audit.verify").ok


def test_who_publishes_may_not_read_the_audit(archive: Office) -> None:
    with pytest.raises(Forbidden):
        archive.does("audit.list", by="operator")
