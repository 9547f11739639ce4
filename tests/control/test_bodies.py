"""What was said is shown to those who may see it, and each look stands in the audit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dirigent.control import OPERATIONS, Doors
from dirigent.control.desk import Unknown
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import Forbidden
from dirigent.core.identity import Role
from dirigent.core.ports import Said
from dirigent.store.archive import Archive
from tests.control.office import START, Office


@pytest.fixture
def archive(office: Office, tmp_path: Path) -> Iterator[Archive]:
    found = Archive(office.database, tmp_path / "keys", tmp_path / "spool", clock=lambda: office.now)
    office.plane = ControlPlane(
        office.database,
        OPERATIONS,
        Doors(archive=found),
        append=lambda _, happened: office.audit.append(happened),
        clock=lambda: office.now,
    )
    found.keep(Said("default", "run-1", START, 30, b"the question", b"the answer", "Sabine"))
    found.outbox.flush()
    yield found
    found.close()


@pytest.mark.parametrize("role", ["owner", "privacy_officer", "reviewer"])
@pytest.mark.usefixtures("archive")
def test_who_may_see_texts_is_shown_them_and_the_look_is_audited(office: Office, role: Role) -> None:
    shown = office.does("runs.bodies", by=role, run="run-1")

    assert [(each.kind, each.text) for each in shown.bodies] == [
        ("asked", "the question"), ("answered", "the answer")
    ]  # fmt: skip
    (line,) = office.audit
    assert (line.action, line.note.subject, line.actor.id) == ("runs.bodies", "run:run-1", f"m-{role}")


@pytest.mark.parametrize("role", ["admin", "operator", "viewer"])
@pytest.mark.usefixtures("archive")
def test_who_runs_the_machines_is_not_shown_what_was_said(office: Office, role: Role) -> None:
    with pytest.raises(Forbidden):
        office.does("runs.bodies", by=role, run="run-1")


@pytest.mark.usefixtures("archive")
def test_nothing_is_shown_where_nothing_is_kept(office: Office) -> None:
    with pytest.raises(Unknown):
        office.does("runs.bodies", run="run-2")


@pytest.mark.usefixtures("archive")
def test_what_is_about_a_subject_is_erased_and_the_audit_does_not_name_it(office: Office) -> None:
    erased = office.does("bodies.erase", subject="sabine")

    assert erased.texts == 2
    with pytest.raises(Unknown):
        office.does("runs.bodies", run="run-1")
    assert "abine" not in str(office.audit)


def test_without_an_archive_nothing_is_kept_and_nothing_to_erase(office: Office) -> None:
    with pytest.raises(Unknown):
        office.does("runs.bodies", run="run-1")

    assert office.does("bodies.erase", subject="sabine").texts == 0
