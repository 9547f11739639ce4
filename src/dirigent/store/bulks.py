"""Bulk runs: rows wait here, sealed, until there is room for them; then each becomes a run, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from time import time
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, text

from dirigent.core.identity import Principal
from dirigent.core.journal import Submission, read, written
from dirigent.store.runs import KeptRun, Runs
from dirigent.store.sealing import Place, Sealed, Sealer, Shredded
from dirigent.store.vault import Vault

__all__ = ["Bulk", "BulkState", "Bulks", "Progress", "RowIn", "run_of_row"]

BulkState = Literal["filling", "running", "stopped", "done"]
_LIVE = "('ready', 'running', 'waiting')"
_COLUMNS = (
    "id, tenant, model, revision, project, virtual_key, member, purpose, purposes, parallel, total, state, author,"
    " created, ended"
)


class Bulk(msgspec.Struct, frozen=True):
    """One bulk run."""

    id: str
    tenant: str
    model: str
    revision: str
    project: str
    virtual_key: str
    member: str | None
    purpose: str | None
    purposes: tuple[str, ...]
    """Which its key may name."""
    parallel: int
    """How many of its runs are on their way at the same time."""
    total: int
    state: BulkState
    author: str
    created: int
    ended: int | None = None


class RowIn(msgspec.Struct, frozen=True):
    """One row on its way in."""

    place: int
    """Its number, from 1."""
    asks: Any
    subject: str = ""
    """Whom it is about."""


class Progress(msgspec.Struct, frozen=True):
    """How far a bulk run is."""

    waiting: int
    """Rows that have not begun."""
    live: int
    done: int
    failed: int
    cancelled: int


class Bulks:
    """The bulk runs of one database."""

    def __init__(self, vault: Vault, runs: Runs, clock: Callable[[], float] = time) -> None:
        self._sealer = Sealer(vault)
        self._runs = runs
        self._clock = clock

    @staticmethod
    def begin(connection: Connection, bulk: Bulk) -> bool:
        """Writes down a bulk run without rows; False where one of this id is there already."""
        return (
            connection.execute(
                text(f"""
                    INSERT INTO bulks ({_COLUMNS}) VALUES (
                        :id, :tenant, :model, :revision, :project, :virtual_key, :member, :purpose, :purposes,
                        :parallel, :total, :state, :author, :created, :ended
                    ) ON CONFLICT (id) DO NOTHING"""),  # noqa: S608 -- no input
                {**msgspec.structs.asdict(bulk), "purposes": msgspec.json.encode(bulk.purposes).decode()},
            ).rowcount
            == 1
        )

    @staticmethod
    def find(connection: Connection, tenant: str, id_: str) -> Bulk | None:
        """The bulk run of this id."""
        row = connection.execute(
            text(f"SELECT {_COLUMNS} FROM bulks WHERE tenant = :tenant AND id = :id"),  # noqa: S608 -- no input
            {"tenant": tenant, "id": id_},
        ).one_or_none()
        return None if row is None else _bulk(row)

    @staticmethod
    def listed(connection: Connection, tenant: str, limit: int) -> Sequence[Bulk]:
        """The bulk runs of a tenant, the latest first."""
        rows = connection.execute(
            text(f"SELECT {_COLUMNS} FROM bulks WHERE tenant = :tenant ORDER BY created DESC, id LIMIT :limit"),  # noqa: S608 -- no input
            {"tenant": tenant, "limit": limit},
        )
        return [_bulk(row) for row in rows]

    def add(self, connection: Connection, bulk: Bulk, rows: Sequence[RowIn]) -> int:
        """Adds rows, each number once; how many were new."""
        added = 0
        now = int(self._clock() * 1000)
        for row in rows:
            place = Place(bulk.tenant, row.subject, _about(bulk.id, row.place), now)
            sealed = self._sealer.seal(connection, place, written({"asks": row.asks, "subject": row.subject}))
            added += connection.execute(
                text("""
                    INSERT INTO bulk_rows (bulk, place, key, sealed) VALUES (:bulk, :place, :key, :sealed)
                    ON CONFLICT (bulk, place) DO NOTHING"""),
                {"bulk": bulk.id, "place": row.place, "key": sealed.key, "sealed": sealed.text},
            ).rowcount
        return added

    @staticmethod
    def set_state(connection: Connection, bulk: Bulk, state: BulkState, *, total: int | None = None) -> None:
        """Lets it run, or stops it: then no further row begins."""
        connection.execute(
            text("UPDATE bulks SET state = :state, total = coalesce(CAST(:total AS INTEGER), total) WHERE id = :id"),
            {"id": bulk.id, "state": state, "total": total},
        )

    @staticmethod
    def progress(connection: Connection, bulk: Bulk) -> Progress:
        """How far it is."""
        waiting = connection.execute(
            text("SELECT count(*) FROM bulk_rows WHERE bulk = :id"), {"id": bulk.id}
        ).scalar_one()
        rows = connection.execute(
            text("SELECT status, count(*) AS many FROM runs WHERE bulk = :id GROUP BY status"), {"id": bulk.id}
        )
        many = {row.status: int(row.many) for row in rows}
        live = sum(many.get(status, 0) for status in ("ready", "running", "waiting"))
        return Progress(waiting, live, many.get("done", 0), many.get("failed", 0), many.get("cancelled", 0))

    @staticmethod
    def rows(connection: Connection, bulk: Bulk, after: int, limit: int) -> Sequence[KeptRun]:
        """The runs of its rows in their order, those behind a row's number."""
        rows = connection.execute(
            text("SELECT id FROM runs WHERE bulk = :id AND place > :after ORDER BY place LIMIT :limit"),
            {"id": bulk.id, "after": after, "limit": limit},
        ).scalars()
        found = [Runs.find(connection, bulk.tenant, run) for run in rows.all()]
        return [run for run in found if run is not None]

    # --- feeding ------------------------------------------------------------------------------------------------------

    @staticmethod
    def any_running(connection: Connection) -> bool:
        """Whether a bulk run wants to be fed."""
        return connection.execute(text("SELECT 1 FROM bulks WHERE state = 'running' LIMIT 1")).scalar() is not None

    def feed(self, connection: Connection, most: int = 200) -> int:
        """Begins as many rows as there is room for, each once whoever feeds; how many began."""
        lock = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
        rows = connection.execute(
            text(f"SELECT {_COLUMNS} FROM bulks WHERE state = 'running' ORDER BY created LIMIT 20{lock}")  # noqa: S608 -- no input
        ).all()
        begun = 0
        for bulk in map(_bulk, rows):
            begun += self._feed_one(connection, bulk, most - begun)
            if begun >= most:
                break
        return begun

    def _feed_one(self, connection: Connection, bulk: Bulk, most: int) -> int:
        live = connection.execute(
            text(f"SELECT count(*) FROM runs WHERE bulk = :id AND status IN {_LIVE}"),  # noqa: S608 -- no input
            {"id": bulk.id},
        ).scalar_one()
        rows = connection.execute(
            text("SELECT place, key, sealed FROM bulk_rows WHERE bulk = :id ORDER BY place LIMIT :room"),
            {"id": bulk.id, "room": max(0, min(bulk.parallel - live, most))},
        ).all()
        if not rows:
            if not live and not self._left(connection, bulk):
                connection.execute(
                    text("UPDATE bulks SET state = 'done', ended = :now WHERE id = :id"),
                    {"id": bulk.id, "now": int(self._clock() * 1000)},
                )
            return 0
        for row in rows:
            self._begin(connection, bulk, row)
        return len(rows)

    def _begin(self, connection: Connection, bulk: Bulk, row: Row[Any]) -> None:
        try:
            opened = self._sealer.open(connection, bulk.tenant, _about(bulk.id, row.place), Sealed(row.key, row.sealed))
            said = read(opened)
        except Shredded:  # whom it was about is forgotten, and so is the row
            said = {"asks": "", "subject": ""}
        submission = Submission(
            run=run_of_row(bulk.id, row.place),
            principal=Principal(bulk.tenant, bulk.project, bulk.virtual_key, bulk.member, bulk.purposes),
            model=bulk.model,
            revision=bulk.revision,
            body=written(said["asks"]),
            purpose=bulk.purpose,
            priority="bulk",
            subject=said["subject"],
            submitted=self._clock(),
            bulk=bulk.id,
            row=row.place,
        )
        self._runs.submit(connection, submission)
        connection.execute(
            text("DELETE FROM bulk_rows WHERE bulk = :bulk AND place = :place"), {"bulk": bulk.id, "place": row.place}
        )

    @staticmethod
    def _left(connection: Connection, bulk: Bulk) -> bool:
        found = connection.execute(text("SELECT 1 FROM bulk_rows WHERE bulk = :id LIMIT 1"), {"id": bulk.id})
        return found.scalar() is not None


def run_of_row(bulk: str, place: int) -> str:
    """The id of the run of a row: the same whoever begins it."""
    return f"run-{sha256(f'{bulk}|{place}'.encode()).hexdigest()[:24]}"


def _about(bulk: str, place: int) -> str:
    return f"bulk|{bulk}|{place}"


def _bulk(row: Row[Any]) -> Bulk:
    return Bulk(**{**row._asdict(), "purposes": msgspec.json.decode(row.purposes, type=tuple[str, ...])})
