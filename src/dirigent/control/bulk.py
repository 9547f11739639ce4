"""Operations on bulk runs: a table goes in, a run for each of its rows, and what came of them goes out."""

from __future__ import annotations

from secrets import token_hex
from typing import Annotated, Any

import msgspec

from dirigent.control.desk import Desk, Taken, Unknown
from dirigent.control.operation import operation
from dirigent.control.submitting import Word, account, revision_now
from dirigent.core.errors import Invalid
from dirigent.core.journal import Ended
from dirigent.core.outputs import text_of
from dirigent.core.traces import trace
from dirigent.store.bulks import Bulk, Bulks, Progress, RowIn

BulkId = Annotated[str, msgspec.Meta(pattern=r"^bulk-[0-9a-f]{24}$(?!\n)")]
Place = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]


class BulkBegun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which model is asked for each row, and on whose account."""

    model: Word
    id: BulkId | None = None
    """An id of one's own: beginning it again goes on with it."""
    parallel: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 8
    """How many rows are on their way at the same time."""
    key: Word | None = None
    """The id of the virtual key on whose account it runs; the only one there is where none is named."""
    member: Word | None = None
    purpose: Word | None = None


class RowAdded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row."""

    row: Place
    """Its number; a number that is there already stays as it is."""
    input: Any
    subject: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Whom it is about."""


class RowsAdded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows for a bulk run that has not been started."""

    id: BulkId
    rows: Annotated[tuple[RowAdded, ...], msgspec.Meta(min_length=1, max_length=1_000)]


class BulkAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which bulk run."""

    id: BulkId


class BulksAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20


class ResultsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows of which bulk run."""

    id: BulkId
    after: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    """Rows behind this number."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 100


class BulkRow(msgspec.Struct, frozen=True):
    """A bulk run, and how far it is."""

    id: str
    model: str
    revision: str
    state: str
    total: int
    waiting: int
    live: int
    done: int
    failed: int
    cancelled: int
    parallel: int
    key: str
    purpose: str | None
    author: str
    created: int
    ended: int | None


class BulksListed(msgspec.Struct, frozen=True):
    """Bulk runs, the latest first."""

    bulks: tuple[BulkRow, ...]


class Added(msgspec.Struct, frozen=True):
    """How many rows were new."""

    id: str
    added: int


class Result(msgspec.Struct, frozen=True):
    """What came of one row."""

    row: int
    run: str
    status: str
    output: Any
    error: str | None
    """The code of what went wrong."""
    words: str | None
    cost: str | None
    currency: str | None
    input_tokens: int
    output_tokens: int
    milliseconds: int


class Results(msgspec.Struct, frozen=True):
    """What came of rows, in their order."""

    id: str
    rows: tuple[Result, ...]
    after: int | None
    """To be given back for the rows behind these; None where there are none."""


@operation("bulk.begin", permission="runs.change", changes=True)
def begin_bulk(desk: Desk, order: BulkBegun) -> BulkRow:
    """Begins a bulk run, to which rows are added next; all of its runs stay on the revision of now."""
    bulks = _door(desk)
    whose = account(desk, order.key, order.member, order.purpose)
    known = desk.doors.models()
    if known and order.model not in known:
        raise Unknown(f"there is no model {order.model!r}", param="model")
    principal = whose.principal
    bulk = Bulk(
        order.id or f"bulk-{token_hex(12)}",
        desk.tenant,
        order.model,
        revision_now(desk),
        principal.project,
        principal.key,
        principal.member,
        whose.purpose,
        principal.purposes,
        order.parallel,
        0,
        "filling",
        desk.actor.id,
        desk.now,
    )
    if bulks.begin(desk.connection, bulk):
        desk.note(f"bulk:{bulk.id}", "was begun", model=bulk.model)
        return _row(bulk, Progress(0, 0, 0, 0, 0))
    found = _found(desk, bulk.id)
    if found.model != bulk.model:
        raise Taken(f"{bulk.id} asks {found.model}, not {bulk.model}", param="id")
    desk.note(f"bulk:{bulk.id}", "was there already", model=bulk.model)
    return _row(found, bulks.progress(desk.connection, found))


@operation("bulk.add", permission="runs.change", changes=True)
def add_rows(desk: Desk, order: RowsAdded) -> Added:
    """Adds rows to a bulk run that has not been started yet."""
    bulk = _found(desk, order.id)
    if bulk.state != "filling":
        raise Taken(f"{bulk.id} is {bulk.state}, and takes no rows any more")
    rows = [RowIn(row.row, row.input, row.subject) for row in order.rows]
    added = _door(desk).add(desk.connection, bulk, rows)
    desk.note(f"bulk:{bulk.id}", "got rows", rows=added)
    return Added(bulk.id, added)


@operation("bulk.start", permission="runs.change", changes=True)
def start_bulk(desk: Desk, order: BulkAsked) -> BulkRow:
    """Lets a bulk run begin, or go on after it was stopped; it goes on whoever watches, and survives every node."""
    bulks, bulk = _door(desk), _found(desk, order.id)
    if bulk.state in ("filling", "stopped"):
        before = bulks.progress(desk.connection, bulk)
        total = before.waiting if bulk.state == "filling" else None
        if bulk.state == "filling" and not before.waiting:
            raise Invalid(f"{bulk.id} has no rows", param="id")
        bulks.set_state(desk.connection, bulk, "running", total=total)
        desk.note(f"bulk:{bulk.id}", "was started")
    found = _found(desk, order.id)
    return _row(found, bulks.progress(desk.connection, found))


@operation("bulk.stop", permission="runs.change", changes=True)
def stop_bulk(desk: Desk, order: BulkAsked) -> BulkRow:
    """Lets no further row of a bulk run begin; those on their way come to their end. `bulk start` goes on."""
    bulks, bulk = _door(desk), _found(desk, order.id)
    if bulk.state != "running":
        raise Taken(f"{bulk.id} is {bulk.state}")
    bulks.set_state(desk.connection, bulk, "stopped")
    desk.note(f"bulk:{bulk.id}", "was stopped")
    found = _found(desk, order.id)
    return _row(found, bulks.progress(desk.connection, found))


@operation("bulk.show", permission="runs.see", changes=False)
def show_bulk(desk: Desk, order: BulkAsked) -> BulkRow:
    """Tells how far a bulk run is."""
    bulk = _found(desk, order.id)
    return _row(bulk, _door(desk).progress(desk.connection, bulk))


@operation("bulk.list", permission="runs.see", changes=False)
def list_bulks(desk: Desk, order: BulksAsked) -> BulksListed:
    """Lists bulk runs, and how far each is."""
    bulks = _door(desk)
    found = bulks.listed(desk.connection, desk.tenant, order.limit)
    return BulksListed(tuple(_row(bulk, bulks.progress(desk.connection, bulk)) for bulk in found))


@operation("bulk.results", permission="runs.read", changes=False, audited=True)
def results(desk: Desk, order: ResultsAsked) -> Results:
    """Gives what came of the rows of a bulk run, with the error and the cost of each; this is audited."""
    bulk = _found(desk, order.id)
    runs = desk.doors.runs
    if runs is None:
        raise Unknown("this node keeps no runs")
    rows = []
    for kept in _door(desk).rows(desk.connection, bulk, order.after, order.limit):
        said = runs.submission(desk.connection, kept.run)
        entries = runs.entries(desk.connection, kept.run)
        if said is None:
            continue
        told = trace(said, entries, desk.now, status=kept.status)
        ended = next((entry for entry in entries if isinstance(entry, Ended)), None)
        output = None if ended is None or ended.status != "done" else text_of(ended.output) or ended.output
        words = ended.output.get("error") if ended is not None and isinstance(ended.output, dict) else None
        rows.append(
            Result(
                kept.row or 0,
                kept.run,
                kept.status,
                output,
                told.code,
                None if words is None else str(words),
                told.cost,
                told.currency,
                told.input_tokens,
                told.output_tokens,
                told.worked,
            )
        )
    desk.note(f"bulk:{bulk.id}", "was read", rows=len(rows), after=order.after)
    return Results(bulk.id, tuple(rows), rows[-1].row if len(rows) == order.limit else None)


def _door(desk: Desk) -> Bulks:
    if desk.doors.bulks is None:
        raise Unknown("this node keeps no runs")
    return desk.doors.bulks


def _found(desk: Desk, id_: str) -> Bulk:
    found = _door(desk).find(desk.connection, desk.tenant, id_)
    if found is None:
        raise Unknown(f"there is no bulk run {id_!r}", param="id")
    return found


def _row(bulk: Bulk, progress: Progress) -> BulkRow:
    return BulkRow(
        bulk.id,
        bulk.model,
        bulk.revision,
        bulk.state,
        bulk.total,
        progress.waiting,
        progress.live,
        progress.done,
        progress.failed,
        progress.cancelled,
        bulk.parallel,
        bulk.virtual_key,
        bulk.purpose,
        bulk.author,
        bulk.created,
        bulk.ended,
    )
