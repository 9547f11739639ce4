"""Operations on what was asked and answered, where a purpose keeps it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.control.operation import operation
from dirigent.control.records import RunAsked
from dirigent.store.bodies import scrub
from dirigent.store.database import Database

Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class BodyRow(msgspec.Struct, frozen=True):
    """One side of what was said in a run."""

    kind: Literal["asked", "answered"]
    text: str
    """As it went over the line: the body of the request, or that of the answer with all its events."""
    at: int
    """When it was over, in milliseconds since 1970."""
    commitment: str
    """What fixes the text without telling it."""


class BodiesShown(msgspec.Struct, frozen=True):
    """What was said in a run."""

    run: str
    bodies: tuple[BodyRow, ...]


class SubjectChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """About whom."""

    subject: Subject
    """As callers name them in `x-dirigent-subject`; capitals do not matter."""


class BodiesErased(msgspec.Struct, frozen=True):
    """What is no more."""

    texts: int


@operation("runs.bodies", permission="bodies.see", changes=False, audited=True)
def show_bodies(desk: Desk, order: RunAsked) -> BodiesShown:
    """Shows what was asked and answered in a run, where its purpose keeps that. Each look stands in the audit."""
    archive = desk.doors.archive
    found = archive.read(desk.connection, desk.tenant, order.run) if archive is not None else ()
    if not found:
        raise Unknown(f"nothing is kept of what was said in a run {order.run!r}", param="run")
    desk.note(f"run:{order.run}", "was read", texts=len(found))
    rows = (BodyRow(each.kind, each.text.decode("utf-8", "replace"), each.at, each.commitment) for each in found)
    return BodiesShown(order.run, tuple(rows))


@operation("bodies.erase", permission="bodies.erase", changes=True)
def erase_bodies(desk: Desk, order: SubjectChosen) -> BodiesErased:
    """Erases all texts that are kept about a subject, and the keys to every copy of them.

    What was said without naming the subject in `x-dirigent-subject` is not found by this.
    """
    archive = desk.doors.archive
    digest, gone = archive.erase(desk.connection, desk.tenant, order.subject) if archive is not None else ("", 0)
    desk.note(f"subject:{digest[:16]}", "had all texts about it erased", texts=gone)
    erased = BodiesErased(gone)

    def swept(database: Database) -> BodiesErased:
        scrub(database)
        return erased

    if gone:
        desk.afterwards(swept)
    return erased
