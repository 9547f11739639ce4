"""Records: one small row for each request that was answered or refused, and who writes, finds and forgets them.

Longer than 400 lines, because a record is written, found and forgotten here, column by column, side by side.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import time
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, text

from dirigent.core.observations import Served
from dirigent.core.purposes import Retention
from dirigent.core.usage import Money
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.outbox import Outbox
from dirigent.store.people import tenants
from dirigent.store.purposes import purposes
from dirigent.store.usage import DAY, EPOCH, add, place_at, prune_rollups
from dirigent.store.words import ids_of, kept, words_of

__all__ = [
    "Filter",
    "Kept",
    "Page",
    "Records",
    "at_places",
    "found",
    "latest_places",
    "prune",
    "record_of",
    "write",
]

_log = logging.getLogger("dirigent.records")
_RUN = "run-"
_OURS = re.compile(r"run-[0-9a-f]{24}")
_PACKED = 12
"""Bytes of the chance in a run's id."""
_STREAMED, _ESTIMATED = 1, 2
_LONGEST_ROUTE = 200
_LOOKED_THROUGH = 200_000
"""Records that one page looks at, at most; where few of them match, the next page goes on from there."""
_FIRST_LOOK = 2_000
"""Where many match, so few are enough."""
_AT_ONCE = 2_000
_PAGES_AT_ONCE = 1_000
_BETWEEN = 3_600.0
"""Seconds between two looks for what is too old."""


class Filter(msgspec.Struct, frozen=True):
    """Which records; what is None may be anything."""

    since: int | None = None
    """Ended at this millisecond or later."""
    until: int | None = None
    """Ended before this millisecond."""
    project: str | None = None
    purpose: str | None = None
    key: str | None = None
    member: str | None = None
    model: str | None = None
    deployment: str | None = None
    code: str | None = None
    transaction: str | None = None
    failed: bool | None = None


class Kept(msgspec.Struct, frozen=True):
    """A record as it is kept."""

    place: int
    """Where it stands among those of its tenant, which is by when it ended."""
    at: int
    """When it ended, in milliseconds since 1970."""
    run: str
    request: str
    path: str
    project: str | None
    purpose: str | None
    key: str | None
    member: str | None
    model: str | None
    deployment: str | None
    revision: str | None
    route: str | None
    status: int
    code: str | None
    streamed: bool
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost: Money | None
    milliseconds: int
    first_token: int | None
    """Milliseconds until the first piece of a stream."""
    transaction: str | None


class Page(msgspec.Struct, frozen=True):
    """Some records, the latest first."""

    records: tuple[Kept, ...]
    before: int | None
    """From where on to look for more; None where there are no more."""


# --- writing ----------------------------------------------------------------------------------------------------------


def write(connection: Connection, served: Sequence[Served]) -> None:
    """Writes records and counts them in the sums of usage; what belongs to no tenant is left out."""
    known = [each for each in served if each.tenant is not None]
    if not known:
        return
    ids = kept(connection, {word for each in known for word in _words(each)})
    places = _free_places(connection, known, ids)
    connection.execute(_INSERT, [_row(each, place, ids) for each, place in zip(known, places, strict=True)])
    add(connection, known, ids)


_PARTS = ("project", "purpose", "key", "member", "path", "model", "deployment", "revision", "code")
_INSERT = text("""
    INSERT INTO records (
        tenant, id, run, project, purpose, key, member, path, model, deployment, revision, status, code, flags,
        attempts, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost, currency, duration, first_token,
        transaction_id, request, route
    ) VALUES (
        :tenant, :id, :run, :project, :purpose, :key, :member, :path, :model, :deployment, :revision, :status, :code,
        :flags, :attempts, :input_tokens, :output_tokens, :cached_tokens, :reasoning_tokens, :cost, :currency,
        :duration, :first_token, :transaction_id, :request, :route
    )""")


def _words(served: Served) -> list[str]:
    said = [served.tenant, *(getattr(served, part) for part in _PARTS)]
    said.append(served.cost.currency if served.cost is not None else None)
    return [word for word in said if word is not None]


def _free_places(connection: Connection, served: Sequence[Served], ids: Mapping[str, int]) -> list[int]:
    """A place for each that no other record has: its millisecond's first one that is free."""
    wanted = [(ids[each.tenant or ""], place_at(int(each.at * 1000))) for each in served]
    if connection.dialect.name == "postgresql":  # two writers must not find the same place free
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    taken: set[tuple[int, int]] = set()
    for tenant in {each[0] for each in wanted}:
        places = [place for owner, place in wanted if owner == tenant]
        rows = connection.execute(
            text("""SELECT id FROM records WHERE tenant = :tenant AND id >= :first AND id <= :last"""),
            {"tenant": tenant, "first": min(places), "last": max(places) + 100_000},
        )
        taken.update((tenant, row[0]) for row in rows)
    given = []
    for tenant, first in wanted:
        place = next(place for place in count(first) if (tenant, place) not in taken)
        taken.add((tenant, place))
        given.append(place)
    return given


_LOCK = 0x_D1_71_6E_06


def _row(served: Served, place: int, ids: Mapping[str, int]) -> dict[str, Any]:
    named = {part: ids[word] if (word := getattr(served, part)) is not None else None for part in _PARTS}
    return {
        **named,
        "tenant": ids[served.tenant or ""],
        "id": place,
        "run": _packed(served.run),
        "status": served.status,
        "flags": _STREAMED * served.streamed + _ESTIMATED * served.estimated,
        "attempts": served.attempts,
        "input_tokens": served.input_tokens,
        "output_tokens": served.output_tokens,
        "cached_tokens": served.cached_tokens or None,
        "reasoning_tokens": served.reasoning_tokens or None,
        "cost": served.cost.nano if served.cost is not None else None,
        "currency": ids[served.cost.currency] if served.cost is not None else None,
        "duration": round(served.seconds * 1000),
        "first_token": round(served.first_token * 1000) if served.first_token is not None else None,
        "transaction_id": served.transaction,
        "request": served.request if served.request != served.run else None,
        "route": served.route[:_LONGEST_ROUTE] if served.route is not None else None,
    }


def _packed(run: str) -> bytes:
    """A run's id in half its length where it is one of ours; any other one is longer than that."""
    if _OURS.fullmatch(run):
        return bytes.fromhex(run[len(_RUN) :])
    return run.encode().ljust(_PACKED + 1, b"\0")


def _unpacked(run: bytes) -> str:
    return f"{_RUN}{run.hex()}" if len(run) == _PACKED else run.rstrip(b"\0").decode()


# --- finding ----------------------------------------------------------------------------------------------------------


def record_of(connection: Connection, tenant: str, run: str) -> Kept | None:
    """The record of a run of this tenant."""
    rows = connection.execute(
        text("""SELECT * FROM records WHERE run = :run AND tenant = :tenant"""),
        {"run": _packed(run), "tenant": _number(connection, tenant)},
    ).all()
    return next(iter(_kept_rows(connection, rows)), None)


def found(connection: Connection, tenant: str, which: Filter, *, before: int | None = None, limit: int = 50) -> Page:
    """The latest records of a tenant that pass the filter, from below a place on."""
    values: dict[str, Any] = {
        "tenant": _number(connection, tenant),
        "before": min(
            2**62 if before is None else before,
            2**62 if which.until is None else place_at(which.until),
        ),
        "since": -(2**62) if which.since is None else place_at(which.since),
    }
    named = {part: word for part in _PARTS if (word := getattr(which, part, None)) is not None}
    ids = ids_of(connection, named.values())
    if any(word not in ids for word in named.values()):
        return Page((), None)
    values |= {part: ids[word] for part, word in named.items()}
    # what is looked up by an index narrows what is looked through; the rest is compared on the way
    indexed = [part for part in ("key",) if part in named]
    compared = [f"{part} = :{part}" for part in named if part not in indexed]
    inner = [f"{part} = :{part}" for part in indexed]
    if which.transaction is not None:
        inner.append("transaction_id = :transaction")
        values["transaction"] = which.transaction
    if which.failed is not None:
        compared.append("code IS NOT NULL" if which.failed else "code IS NULL")
    source = " AND ".join(("tenant = :tenant AND id < :before AND id >= :since", *inner))
    rows: Sequence[Row[Any]] = []
    for most in (_FIRST_LOOK, _LOOKED_THROUGH) if compared else (limit,):
        rows = connection.execute(
            # every word of the statement stands in this file: what callers say comes in as values alone
            text(f"""
                SELECT * FROM (SELECT * FROM records WHERE {source} ORDER BY id DESC LIMIT :most) AS latest
                WHERE {" AND ".join(compared or ("1 = 1",))}
                ORDER BY id DESC LIMIT :limit"""),  # noqa: S608
            values | {"limit": limit, "most": most},
        ).all()
        if len(rows) == limit:
            return Page(tuple(_kept_rows(connection, rows)), rows[-1].id)
    if not compared:
        return Page(tuple(_kept_rows(connection, rows)), None)
    last = connection.execute(
        text(f"SELECT id FROM records WHERE {source} ORDER BY id DESC LIMIT 1 OFFSET :skipped"),  # noqa: S608
        values | {"skipped": _LOOKED_THROUGH - 1},
    ).scalar()
    return Page(tuple(_kept_rows(connection, rows)), last)


def latest_places(connection: Connection, tenant: str, behind: int, limit: int) -> Sequence[int]:
    """The latest places of a tenant behind this one that hold a record, the latest first."""
    return (
        connection.execute(
            text("""
                SELECT id FROM records WHERE tenant = :tenant AND id > :behind
                ORDER BY id DESC LIMIT :limit"""),
            {"tenant": _number(connection, tenant), "behind": behind, "limit": limit},
        )
        .scalars()
        .all()
    )


def at_places(connection: Connection, tenant: str, places: Sequence[int]) -> Sequence[Kept]:
    """The records of a tenant at these places, in the order of places."""
    if not places:
        return ()
    rows = connection.execute(_AT_PLACES, {"tenant": _number(connection, tenant), "ids": list(places)}).all()
    return _kept_rows(connection, rows)


_AT_PLACES = text("""SELECT * FROM records WHERE tenant = :tenant AND id IN :ids ORDER BY id""").bindparams(
    bindparam("ids", expanding=True)
)


def _number(connection: Connection, tenant: str) -> int:
    return ids_of(connection, (tenant,)).get(tenant, -1)


def _kept_rows(connection: Connection, rows: Sequence[Row[Any]]) -> list[Kept]:
    words = words_of(connection, {getattr(row, part) for row in rows for part in (*_PARTS, "currency")})
    return [_kept(row, words) for row in rows]


def _kept(row: Row[Any], words: Mapping[int, str]) -> Kept:
    run = _unpacked(bytes(row.run))
    return Kept(
        place=row.id,
        at=row.id // 256 + EPOCH,
        run=run,
        request=row.request or run,
        path=words.get(row.path, ""),
        project=words.get(row.project),
        purpose=words.get(row.purpose),
        key=words.get(row.key),
        member=words.get(row.member),
        model=words.get(row.model),
        deployment=words.get(row.deployment),
        revision=words.get(row.revision),
        route=row.route,
        status=row.status,
        code=words.get(row.code),
        streamed=bool(row.flags & _STREAMED),
        attempts=row.attempts,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens or 0,
        reasoning_tokens=row.reasoning_tokens or 0,
        estimated=bool(row.flags & _ESTIMATED),
        cost=Money(row.cost, words[row.currency]) if row.cost is not None else None,
        milliseconds=row.duration,
        first_token=row.first_token,
        transaction=row.transaction_id,
    )


# --- forgetting -------------------------------------------------------------------------------------------------------


def prune(database: Database, now: int) -> int:
    """Forgets records that are older than their purposes let them be, and gives their room back; how many those were.

    Works in small transactions, so that nobody who writes waits for it.
    """
    gone = 0
    for tenant, purpose, before in database.read(lambda connection: _due(connection, now)):
        values = {"tenant": tenant, "purpose": purpose, "before": place_at(before), "many": _AT_ONCE}
        while True:
            forgotten = database.write(lambda connection, values=values: _forget(connection, values))  # type: ignore[misc]
            gone += forgotten
            if forgotten < _AT_ONCE:
                break
        day = {"tenant": tenant, "purpose": purpose, "before": before - before % DAY}
        database.write(lambda connection, day=day: _forget_people(connection, day))  # type: ignore[misc]
    database.write(lambda connection: prune_rollups(connection, now))
    if database.lite:
        _give_room_back(database)
    return gone


def _due(connection: Connection, now: int) -> list[tuple[int, int, int]]:
    """For each tenant and each purpose its records name: before when they are to be forgotten."""
    due: list[tuple[int, int, int]] = []
    for tenant in tenants(connection):
        number = _number(connection, tenant.name)
        if number < 0:
            continue
        days = {each.purpose.name: each.purpose.retention.records for each in purposes(connection, tenant.name)}
        # asked word by word along the index that the sums have, not by looking through all records
        used = (
            connection.execute(
                text("""
                SELECT DISTINCT purpose FROM usage_rollups
                WHERE tenant = :tenant AND grain = :grain"""),
                {"tenant": number, "grain": DAY},
            )
            .scalars()
            .all()
        )
        words = words_of(connection, used)
        for purpose in used:
            kept_for = days.get(words.get(purpose, ""), Retention().records)
            due.append((number, purpose, now - kept_for * DAY))
    return due


def _forget(connection: Connection, values: Mapping[str, Any]) -> int:
    ids = (
        connection.execute(
            text("""
            SELECT id FROM records
            WHERE tenant = :tenant AND id < :before AND coalesce(purpose, 0) = :purpose
            ORDER BY id LIMIT :many"""),
            values,
        )
        .scalars()
        .all()
    )
    if ids:
        connection.execute(_FORGET, {"tenant": values["tenant"], "ids": list(ids)})
    return len(ids)


_FORGET = text("""DELETE FROM records WHERE tenant = :tenant AND id IN :ids""").bindparams(
    bindparam("ids", expanding=True)
)


def _forget_people(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(
        text("""DELETE FROM usage_people WHERE tenant = :tenant AND starts < :before AND purpose = :purpose"""), values
    )


def _give_room_back(database: Database) -> None:
    """Where the file may shrink, it does; a file of an earlier version keeps its room for what comes."""
    pooled = database.engine.raw_connection()
    try:
        bare: Any = pooled.driver_connection
        free = bare.execute("PRAGMA freelist_count").fetchone()[0]
        while free:
            before = free
            # a script, because a plain execution would stop after the first page
            bare.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
            free = bare.execute("PRAGMA freelist_count").fetchone()[0]
            if free >= before:
                return
    finally:
        pooled.close()


class Records:
    """An observer that keeps what was served: `observe` takes a microsecond, a thread does the rest.

    `start` begins to write, first of all what an earlier process could not; `close` writes what is left.
    """

    def __init__(self, database: Database, folder: Path, *, clock: Callable[[], float] = time) -> None:
        self.outbox: Outbox[Served, Served] = Outbox("records", database, Served, write, folder=folder)
        self._database = database
        self._clock = clock
        self._stop = Event()
        self._cleaner = Thread(target=self._prune_until_stopped, name="retention", daemon=True)

    def start(self) -> None:
        """Begins to write, and once an hour to forget."""
        self.outbox.start()
        self._cleaner.start()

    def observe(self, observation: msgspec.Struct) -> None:
        """Keeps what was served; anything else is not for here."""
        if isinstance(observation, Served) and observation.tenant is not None:
            self.outbox.put(observation)

    def close(self) -> None:
        """Writes what is left, and ends."""
        self._stop.set()
        if self._cleaner.is_alive():
            self._cleaner.join()
        self.outbox.close()

    def _prune_until_stopped(self) -> None:
        while not self._stop.wait(_BETWEEN):
            try:
                gone = prune(self._database, int(self._clock() * 1000))
                if gone:
                    _log.info("%d records were too old and are forgotten", gone)
            except DatabaseGone as fault:
                _log.warning("old records stay for now: %s", fault)
            except Exception:  # noqa: BLE001 -- an hour later it may well work
                _log.exception("old records could not be forgotten")
