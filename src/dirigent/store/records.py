"""Records: one small row for each request that was answered or refused, and who finds and forgets them.

Longer than 400 lines, because the ways to find records and to forget them stand side by side, and share their places.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from time import time
from typing import Any, ClassVar

import msgspec
from sqlalchemy import Connection, Row, bindparam, text

from dirigent.core.observations import Served
from dirigent.core.purposes import Retention
from dirigent.core.usage import Money
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.outbox import Outbox
from dirigent.store.people import tenants
from dirigent.store.purposes import purposes
from dirigent.store.recording import ESTIMATED, FAILED, STREAMED, STRETCH, packed, unpacked, write
from dirigent.store.usage import DAY, EPOCH, place_at, prune_rollups
from dirigent.store.words import ids_of, words_of

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
_PARTS = ("project", "purpose", "key", "member", "path", "model", "deployment", "revision", "code")
_WHOLE = ", ".join(("r.*", *(f"g.{name}" for name in (*_PARTS, "currency", "status"))))
"""A record with what its group says."""
_LOOKED_THROUGH = 200_000
"""Records that one page looks at, at most; where few of them match, the next page goes on from there."""
_FIRST_LOOK = 2_000
"""Where many match, so few are enough."""
_STRETCHES_AT_ONCE = 300
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


# --- finding ----------------------------------------------------------------------------------------------------------


def record_of(connection: Connection, tenant: str, run: str) -> Kept | None:
    """The record of a run of this tenant."""
    rows = connection.execute(
        text(f"""
            SELECT {_WHOLE} FROM records r JOIN record_groups g ON g.id = r.group_id
            WHERE substr(r.run, 1, 3) = :head AND r.run = :run AND r.tenant = :tenant"""),  # noqa: S608
        {"run": packed(run), "head": packed(run)[:3], "tenant": _number(connection, tenant)},
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
    compared = []
    if named:
        alike = " AND ".join(f"{part} = :{part}" for part in named)
        compared.append(f"group_id IN (SELECT id FROM record_groups WHERE tenant = :tenant AND {alike})")  # noqa: S608
    if which.failed is not None:
        compared.append(f"flags >= {FAILED}" if which.failed else f"flags < {FAILED}")
    source = "records WHERE tenant = :tenant AND id < :before AND id >= :since"
    if which.transaction is not None:  # what is looked up by an index narrows what is looked through
        source += " AND transaction_id = :transaction"
        values["transaction"] = which.transaction
    elif which.key is not None:
        return _of_key(connection, compared, values, limit)
    elif which.failed or which.code is not None:
        source += f" AND flags >= {FAILED}"
        if connection.dialect.name == "sqlite":  # which would rather look through them all
            source = source.replace("records", "records INDEXED BY records_failed", 1)
    rows: Sequence[Row[Any]] = []
    looked, lowest = 0, None
    for most in (_FIRST_LOOK, _LOOKED_THROUGH) if compared else (limit,):
        looked, lowest, rows = _looked_through(connection, source, compared, values | {"limit": limit, "most": most})
        if len(rows) == limit:
            return Page(tuple(_kept_rows(connection, rows)), rows[-1].id)
    return Page(tuple(_kept_rows(connection, rows)), lowest if compared and looked == _LOOKED_THROUGH else None)


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


_AT_PLACES = text(f"""
    SELECT {_WHOLE} FROM records r JOIN record_groups g ON g.id = r.group_id
    WHERE r.tenant = :tenant AND r.id IN :ids ORDER BY r.id""").bindparams(bindparam("ids", expanding=True))  # noqa: S608


def _of_key(connection: Connection, compared: Sequence[str], values: Mapping[str, Any], limit: int) -> Page:
    """The latest records of a key, looked for in those stretches of time alone in which it has some."""
    rows: list[Row[Any]] = []
    left, source = _LOOKED_THROUGH, "records WHERE tenant = :tenant AND id < :last AND id >= :first"
    for first, last in _spans(connection, values):
        bounds = {"first": max(first, values["since"]), "last": min(last, values["before"]), "most": left}
        looked, lowest, more = _looked_through(
            connection, source, compared, {**values, **bounds, "limit": limit - len(rows)}
        )
        rows += more
        if len(rows) == limit:
            return Page(tuple(_kept_rows(connection, rows)), rows[-1].id)
        left -= looked
        if left <= 0:
            return Page(tuple(_kept_rows(connection, rows)), lowest)
    return Page(tuple(_kept_rows(connection, rows)), None)


def _spans(connection: Connection, values: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """From which place to which one a key has records, the latest first; neighbouring stretches are one span."""
    asked = {name: values[name] for name in ("tenant", "key")} | {
        "before": values["before"] // 256 + EPOCH + 1,
        "since": values["since"] // 256 + EPOCH - STRETCH,
        "many": _STRETCHES_AT_ONCE,
    }
    while True:
        found = connection.execute(_STRETCHES, asked).scalars().all()
        spans: list[list[int]] = []
        for starts in found:
            if spans and starts + STRETCH == spans[-1][0]:
                spans[-1][0] = starts
            else:
                spans.append([starts, starts + STRETCH])
        for first, last in spans:
            yield place_at(first), place_at(last)
        if len(found) < _STRETCHES_AT_ONCE:
            return
        asked["before"] = found[-1]


_STRETCHES = text("""
    SELECT DISTINCT starts FROM record_stretches
    WHERE tenant = :tenant AND key = :key AND starts < :before AND starts > :since
    ORDER BY starts DESC LIMIT :many""")


def _looked_through(
    connection: Connection, source: str, compared: Sequence[str], values: Mapping[str, Any]
) -> tuple[int, int | None, Sequence[Row[Any]]]:
    """Of the latest so many records of a source, the latest few for which all comparisons hold.

    Before them stands how many were looked through at most, and the lowest place among those.
    """
    # every word of the statements stands in this file: what callers say comes in as values alone
    looked, lowest = connection.execute(
        text(f"""
            SELECT count(*), min(id)
            FROM (SELECT id FROM {source} ORDER BY id DESC LIMIT :most) AS latest"""),  # noqa: S608
        values,
    ).one()
    if not looked:
        return 0, None, ()
    rows = connection.execute(  # which ends at the last one that is wanted, however many there are
        text(f"""
            SELECT {_WHOLE}
            FROM (
                SELECT * FROM {" AND ".join((source, "id >= :lowest", *compared))}
                ORDER BY id DESC LIMIT :limit
            ) AS r JOIN record_groups g ON g.id = r.group_id
            ORDER BY r.id DESC"""),  # noqa: S608
        {**values, "lowest": lowest},
    ).all()
    return looked, lowest, rows


def _number(connection: Connection, tenant: str) -> int:
    return ids_of(connection, (tenant,)).get(tenant, -1)


def _kept_rows(connection: Connection, rows: Sequence[Row[Any]]) -> list[Kept]:
    words = words_of(connection, {getattr(row, part) for row in rows for part in (*_PARTS, "currency")})
    return [_kept(row, words) for row in rows]


def _kept(row: Row[Any], words: Mapping[int, str]) -> Kept:
    run = unpacked(bytes(row.run))
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
        streamed=bool(row.flags & STREAMED),
        attempts=row.attempts,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens or 0,
        reasoning_tokens=row.reasoning_tokens or 0,
        estimated=bool(row.flags & ESTIMATED),
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
        whose = {"tenant": tenant, "purpose": purpose, "day": before - before % DAY, "stretch": before - STRETCH}
        database.write(lambda connection, whose=whose: _forget_people(connection, whose))  # type: ignore[misc]
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
            WHERE tenant = :tenant AND id < :before
              AND group_id IN (SELECT id FROM record_groups WHERE tenant = :tenant AND purpose = :purpose)
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
    for statement in (
        "DELETE FROM usage_people WHERE tenant = :tenant AND starts < :day AND purpose = :purpose",
        "DELETE FROM record_stretches WHERE tenant = :tenant AND starts <= :stretch AND purpose = :purpose",
        # a day later, when nobody who is writing can still mean it
        f"DELETE FROM record_groups WHERE tenant = :tenant AND latest < :day - {DAY} AND purpose = :purpose",  # noqa: S608
    ):
        connection.execute(text(statement), values)


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

    hears: ClassVar[tuple[type, ...]] = (Served,)
    """What else it is told it leaves aside."""

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
