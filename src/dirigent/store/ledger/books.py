"""What the database knows of allowances: booked, presumed, overrun, and leased to holders.

Longer than 400 lines, because all statements that touch these counts stand where they can be held against one another.

All that a holder has to say is one posting: one transaction over all its windows, which books what was settled, gives
back what it does not use, and takes leases on what it needs. The holder's row counts its postings, so that one whose
end was not heard of can be sent again. Locks are taken in one order: holders, then windows by their ids, then leases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, TextClause, text

from dirigent.core.allowances import Allowance
from dirigent.core.windows import span_at
from dirigent.store.rows import Statement

__all__ = [
    "Account",
    "Entry",
    "Fenced",
    "Glance",
    "Posting",
    "Sums",
    "Window",
    "conclude",
    "end_overdue",
    "fence",
    "glance",
    "holders",
    "join",
    "leave",
    "post",
    "prune",
    "reclaim",
    "window_at",
]

LIFE = 60_000
"""Milliseconds after which a holder that nobody has seen is over, by the database's clock."""
_ALIVE = 3_000
"""Milliseconds after which nobody waits any more for a holder to give back what it does not use."""
_SCARCE = 2_000
"""Milliseconds for which nobody takes more than it needs, after somebody has found too little."""
_KEPT = 24 * 3_600_000
"""Milliseconds for which the windows of minutes and hours are kept once they are over."""


class Window(msgspec.Struct, frozen=True):
    """One window of one allowance."""

    id: str
    allowance: Allowance
    starts: int
    ends: int | None


class Entry(msgspec.Struct):
    """What a holder has to say of one window."""

    window: Window
    known: bool = False
    """Whether the database has met this window before."""
    booked: int = 0
    presumed: int = 0
    overrun: int = 0
    consumed: int = 0
    """What of its lease is used up by these."""
    returned: int = 0
    need: int = 0
    """What it must have, or as much of it as there is."""
    least: int = 0
    """With less than this it can do nothing, and takes nothing."""
    extra: int = 0
    """What it would like to have beyond that, for the calls of the next moments."""
    wanted: int = 0
    """The want under which it waits for others already."""
    answers: int = 0
    """The want of others that it answers, by having returned all it does not use."""


class Posting(msgspec.Struct):
    """All that a holder has to say at once."""

    holder: str
    epoch: int
    number: int
    flushed: int
    """The number of the last line of its log that is in here."""
    entries: list[Entry]
    holders: int = 1
    """How many there are to share what is left."""


class Account(msgspec.Struct):
    """How a window stands once a posting is booked."""

    lease: int
    """What the holder has of it now."""
    spent: int
    """Booked, presumed and overrun."""
    leased: int
    room: int
    """What is neither spent nor leased; negative where the rule was lowered below that."""
    wanted: int = 0
    """The want under which the holder waits for others to return what they do not use; 0 where there is no need to."""


class Sums(msgspec.Struct):
    """What was settled of a window."""

    booked: int = 0
    presumed: int = 0
    overrun: int = 0


class Fenced(Exception):
    """Somebody has declared the holder dead: its leases are presumed to be spent until it takes them back."""


class Glance(msgspec.Struct):
    """A window of which the holder has a lease, and the want that it has not answered yet."""

    spent: int
    leased: int
    most: int
    wanted: int


def window_at(allowance: Allowance, now: float) -> Window:
    """The window of an allowance that an instant lies in. Raises ValueError where its zone is none."""
    kind = "total" if allowance.unit == "calls" else allowance.window
    starts, ends = span_at(kind, allowance.zone, now)
    return Window(f"{allowance.id}/{kind}/{starts}", allowance, starts, ends)


def join(connection: Connection, holder: str, node: str) -> None:
    """Enters a holder under its first epoch."""
    connection.execute(_JOIN[connection.dialect.name], {"holder": holder, "node": node})


def post(connection: Connection, posting: Posting) -> dict[str, Account]:
    """Books a posting, once, and grants what there is of what it needs; how its windows stand then. Raises Fenced."""
    whose = {"holder": posting.holder, "epoch": posting.epoch, "number": posting.number, "flushed": posting.flushed}
    marked = _MARK.rows(connection, whose)
    if not marked:
        row = connection.execute(_HOLDER, {"holder": posting.holder}).one_or_none()
        if row is None or row.over or row.epoch != posting.epoch or row.posted != posting.number:
            raise Fenced
        return _as_they_are(connection, posting)  # nobody heard of its end the first time
    now = int(marked[0].seen)
    entries = {entry.window.id: entry for entry in posting.entries}
    if new := [_new(entry.window) for _, entry in sorted(entries.items()) if not entry.known]:
        connection.execute(_INSERT, new)
    rows = _locked(connection, posting.holder, sorted(entries))
    lines = [_Line(entries[row.id], row, now, posting.holders) for row in rows]
    if short := [line.row.id for line in lines if line.short]:
        others: dict[str, list[int]] = {}
        for row in _OTHERS.rows(connection, {"holder": posting.holder, "ids": short, "since": now - _ALIVE}):
            others.setdefault(row.window_id, []).append(row.answered)
        for line in lines:
            if line.short:
                line.want(others.get(line.row.id, ()), now)
    _write(connection, posting.holder, lines)
    return {line.row.id: line.account() for line in lines}


class _Line:
    """A window's row, and what an entry makes of it."""

    def __init__(self, entry: Entry, row: Row[Any], now: int = 0, holders: int = 1) -> None:
        self.row = row
        spent = entry.booked + entry.presumed + entry.overrun
        given = min(entry.consumed + entry.returned, row.amount)
        # what was consumed of a lease that somebody had released in the meantime is beyond what was admitted
        uncovered = max(0, entry.consumed - row.amount)
        uncovered -= min(uncovered, entry.consumed - entry.booked - entry.presumed)
        self.presumed = max(0, entry.presumed - uncovered)
        self.booked = entry.booked - max(0, uncovered - entry.presumed)
        self.overrun = spent - self.booked - self.presumed
        rule = entry.window.allowance
        newer = rule.version >= row.version
        self.most: int = rule.most if newer else row.most
        self.version: int = rule.version if newer else row.version
        room = self.most - (row.spent + row.leased + spent - given)
        self.granted = max(0, min(entry.need, room))
        if self.granted < entry.least:
            self.granted = 0
        self.short = self.granted < entry.need
        if not self.short and row.scarce <= now and entry.extra:
            self.granted += max(0, min(entry.extra, (room - self.granted) // (2 * holders)))
        self.leased = self.granted - given
        self.total = spent + self.leased
        self.lease = row.amount + self.leased
        self.asked = entry.wanted
        self.waits = 0
        self.wanted, self.scarce = row.wanted, row.scarce
        self.answered = max(row.answered, entry.answers)

    def want(self, others: Sequence[int], now: int) -> None:
        """Asks all others that hold some to return what they do not use, unless they have done so already."""
        if not others:
            return
        if not self.asked:
            self.wanted += 1
            self.asked = self.wanted
        self.scarce = now + _SCARCE
        if any(answered < self.asked for answered in others):
            self.waits = self.asked

    @property
    def changes(self) -> bool:
        """Whether the row is another one afterwards."""
        row = self.row
        spent = self.booked or self.presumed or self.overrun
        rule = self.most != row.most or self.version != row.version
        return bool(spent or self.leased or rule or self.wanted != row.wanted or self.scarce != row.scarce)

    def change(self) -> dict[str, object]:
        """What `_BOOK` needs."""
        return {name: getattr(self, name) for name in _CHANGED} | {"id": self.row.id}

    def account(self) -> Account:
        """How the window stands with it."""
        spent = self.row.spent + self.booked + self.presumed + self.overrun
        leased = self.row.leased + self.leased
        return Account(self.lease, spent, leased, self.most - spent - leased, self.waits)


_CHANGED = ("booked", "presumed", "overrun", "leased", "granted", "total", "most", "version", "wanted", "scarce")


def _write(connection: Connection, holder: str, lines: Sequence[_Line]) -> None:
    changed = [line.change() for line in lines if line.changes]
    # the second line of defence: the law stands in the statement too
    if changed and _BOOK.does(connection, changed) != len(changed):
        raise ArithmeticError("more of an allowance was about to be leased than it has left")
    leases = [
        {"holder": holder, "window": line.row.id, "amount": line.lease, "answered": line.answered}
        for line in lines
        if line.leased or line.lease != line.row.amount or line.answered != line.row.answered
    ]
    if leases:
        _LEASE.does(connection, leases)


def _locked(connection: Connection, holder: str, ids: Sequence[str]) -> Sequence[Row[Any]]:
    if not ids:
        return ()
    return _LOCK.rows(connection, {"holder": holder, "ids": ids})


def _as_they_are(connection: Connection, posting: Posting) -> dict[str, Account]:
    ids = sorted(entry.window.id for entry in posting.entries)
    return {
        row.id: Account(row.amount, row.spent, row.leased, row.most - row.spent - row.leased)
        for row in _locked(connection, posting.holder, ids)
    }


def _new(window: Window) -> dict[str, object]:
    rule = window.allowance
    return {
        "id": window.id,
        "tenant": rule.tenant,
        "allowance": rule.id,
        "unit": rule.unit,
        "span": rule.window,
        "starts": window.starts,
        "ends": window.ends,
        "most": rule.most,
        "version": rule.version,
    }


def glance(connection: Connection, holder: str) -> dict[str, Glance]:
    """How the windows stand of which the holder has a lease, and whether somebody wants what it does not use."""
    return {
        row.id: Glance(row.spent, row.leased, row.most, row.wanted if row.wanted > row.answered else 0)
        for row in _GLANCE.rows(connection, {"holder": holder})
    }


def holders(connection: Connection) -> int:
    """How many holders are there to share what is left."""
    return int(connection.execute(_HOLDERS[connection.dialect.name], {"life": _ALIVE}).scalar_one())


def end_overdue(connection: Connection, holder: str) -> str | None:
    """Declares one dead that nobody has seen for a life: what it holds is presumed spent, calls aside, which end.

    Returns who it is; None where all are well.
    """
    dialect = connection.dialect.name
    dead = connection.execute(_OVERDUE[dialect], {"holder": holder, "life": LIFE}).scalar()
    if dead is None:
        return None
    connection.execute(_END, {"holder": dead})
    for lease in connection.execute(_LEASES[dialect], {"holder": dead}).all():
        presumed = 0 if lease.unit == "calls" else lease.amount
        connection.execute(_MOVE, {"id": lease.window_id, "leased": -lease.amount, "presumed": presumed})
        connection.execute(_PRESUME if presumed else _DROP, {"holder": dead, "window": lease.window_id})
    return str(dead)


def reclaim(connection: Connection, holder: str, node: str) -> tuple[int, int, dict[str, int]]:
    """A holder that was declared dead, and is not, takes back what was presumed of it.

    Returns its new epoch, the number of its last posting, and what is still its own of each window: what somebody has
    released is gone.
    """
    dialect = connection.dialect.name
    row = connection.execute(_RISE[dialect], {"holder": holder}).one_or_none()
    if row is None:
        join(connection, holder, node)
        return 1, 0, {}
    leases = connection.execute(_LEASES[dialect], {"holder": holder}).all()
    for lease in leases:
        if lease.presumed:
            connection.execute(_MOVE, {"id": lease.window_id, "leased": lease.amount, "presumed": -lease.amount})
    connection.execute(_RESUME, {"holder": holder})
    return int(row.epoch), int(row.posted), {lease.window_id: lease.amount for lease in leases}


def fence(connection: Connection, holder: str) -> int | None:
    """Lets no posting be booked any more that a holder which died had sent; the last line of its log that it has told.

    A commit that was on its way when the process was killed is waited for. None where nobody knows the holder, or not
    any more.
    """
    row = connection.execute(_FENCE, {"holder": holder}).one_or_none()
    return None if row is None else int(row.flushed)


def conclude(
    connection: Connection, holder: str, settled: Mapping[str, Sums], opened: Mapping[str, int], *, whole: bool
) -> None:
    """Ends a holder that died by what its log tells: settled is booked, open is presumed, and the rest returned.

    Where the log is not certainly `whole`, since the machine went down with it, the rest is presumed spent as well.
    """
    if connection.execute(_RISE[connection.dialect.name], {"holder": holder}).one_or_none() is None:
        return
    leases = {row.window_id: row for row in connection.execute(_LEASES[connection.dialect.name], {"holder": holder})}
    for window in sorted({*leases, *settled}):
        sums, lease = settled.get(window, Sums()), leases.get(window)
        amount = 0 if lease is None else int(lease.amount)
        # somebody may have released what was presumed: what was booked for certain is then beyond what was admitted
        booked = min(sums.booked, amount)
        unknown = min(sums.presumed + opened.get(window, 0), amount - booked) if whole else amount - booked
        if lease is not None and lease.unit == "calls":
            unknown = 0
        was_presumed = lease is not None and lease.presumed
        change = {
            "booked": booked,
            "presumed": unknown - (amount if was_presumed else 0),
            "overrun": sums.overrun + sums.booked - booked,
            "leased": 0 if was_presumed else -amount,
        }
        connection.execute(_CONCLUDE, {"id": window, **change})
    connection.execute(_DROP_ALL, {"holder": holder})
    connection.execute(_STRIKE, {"holder": holder})


def leave(connection: Connection, holder: str) -> None:
    """Strikes a holder out that has nothing any more; what it should still have is returned."""
    for lease in connection.execute(_LEASES[connection.dialect.name], {"holder": holder}).all():
        column = "presumed" if lease.presumed else "leased"
        nothing = {"leased": 0, "presumed": 0}
        connection.execute(_MOVE, {"id": lease.window_id, **nothing, column: -lease.amount})
    connection.execute(_DROP_ALL, {"holder": holder})
    connection.execute(_STRIKE, {"holder": holder})


def prune(connection: Connection) -> None:
    """Deletes leases of nothing on windows that are over, minutes and hours that are long over, and the long dead."""
    dialect = connection.dialect.name
    for statement in (_NOTHING, _OLD, _DEAD):
        connection.execute(statement[dialect], {"kept": _KEPT})


# The clock of the database, so that no holder's own can shorten another's life.
_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
}


def _texts(statement: str) -> dict[str, str]:
    """The statement for each database: their clocks differ, and one of them has no locks on rows and needs none."""
    lite = statement.replace("FOR UPDATE OF w", "").replace("FOR UPDATE SKIP LOCKED", "").replace("FOR UPDATE", "")
    return {
        "sqlite": lite.replace("NOW()", _NOW["sqlite"]),
        "postgresql": statement.replace("NOW()", _NOW["postgresql"]),
    }


def _both(statement: str) -> dict[str, TextClause]:
    return {name: text(each) for name, each in _texts(statement).items()}


_JOIN = _both("""
    INSERT INTO ledger_holders (id, node, epoch, over, seen, posted, flushed)
    VALUES (:holder, :node, 1, 0, NOW(), 0, 0)""")
_MARK = Statement(
    _texts("""
    UPDATE ledger_holders SET posted = :number, flushed = :flushed, seen = NOW()
    WHERE id = :holder AND epoch = :epoch AND over = 0 AND posted = :number - 1
    RETURNING seen""")
)
_HOLDER = text("SELECT epoch, over, posted, flushed FROM ledger_holders WHERE id = :holder")
_INSERT = text("""
    INSERT INTO ledger_windows (id, tenant, allowance, unit, span, starts, ends, most, version,
                                booked, presumed, overrun, leased, wanted, scarce)
    VALUES (:id, :tenant, :allowance, :unit, :span, :starts, :ends, :most, :version, 0, 0, 0, 0, 0, 0)
    ON CONFLICT (id) DO NOTHING""")
_LOCK = Statement(
    _texts("""
    SELECT w.id, w.most, w.version, w.booked + w.presumed + w.overrun AS spent, w.leased, w.wanted, w.scarce,
           coalesce(l.amount, 0) AS amount, coalesce(l.answered, 0) AS answered
    FROM ledger_windows w LEFT JOIN ledger_leases l ON l.window_id = w.id AND l.holder = :holder
    WHERE w.id IN :ids ORDER BY w.id FOR UPDATE OF w""")
)
_BOOK = Statement("""
    UPDATE ledger_windows
    SET booked = booked + :booked, presumed = presumed + :presumed, overrun = overrun + :overrun,
        leased = leased + :leased, most = :most, version = :version, wanted = :wanted, scarce = :scarce
    WHERE id = :id AND (:granted = 0 OR booked + presumed + overrun + leased + :total <= :most)""")
_LEASE = Statement("""
    INSERT INTO ledger_leases (holder, window_id, amount, answered, presumed)
    VALUES (:holder, :window, :amount, :answered, 0)
    ON CONFLICT (holder, window_id) DO UPDATE SET amount = excluded.amount, answered = excluded.answered""")
_OTHERS = Statement("""
    SELECT l.window_id, l.answered
    FROM ledger_leases l JOIN ledger_holders h ON h.id = l.holder
    WHERE l.window_id IN :ids AND l.holder <> :holder AND l.amount > 0 AND h.over = 0 AND h.seen > :since""")
_GLANCE = Statement("""
    SELECT w.id, w.booked + w.presumed + w.overrun AS spent, w.leased, w.most, w.wanted, l.answered
    FROM ledger_leases l JOIN ledger_windows w ON w.id = l.window_id
    WHERE l.holder = :holder AND l.amount > 0""")
_HOLDERS = _both("SELECT count(*) FROM ledger_holders WHERE over = 0 AND seen > NOW() - :life")
_OVERDUE = _both("""
    SELECT id FROM ledger_holders WHERE over = 0 AND id <> :holder AND seen < NOW() - :life
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED""")
_END = text("UPDATE ledger_holders SET over = 1, epoch = epoch + 1 WHERE id = :holder")
_FENCE = text("UPDATE ledger_holders SET epoch = epoch + 1 WHERE id = :holder RETURNING flushed")
_RISE = _both("""
    UPDATE ledger_holders SET over = 0, epoch = epoch + 1, seen = NOW() WHERE id = :holder
    RETURNING epoch, posted""")
_LEASES = _both("""
    SELECT l.window_id, l.amount, l.presumed, w.unit
    FROM ledger_leases l JOIN ledger_windows w ON w.id = l.window_id
    WHERE l.holder = :holder ORDER BY w.id FOR UPDATE OF w""")
_MOVE = text("""
    UPDATE ledger_windows SET leased = leased + :leased, presumed = presumed + :presumed WHERE id = :id""")
_CONCLUDE = text("""
    UPDATE ledger_windows
    SET booked = booked + :booked, presumed = presumed + :presumed, overrun = overrun + :overrun,
        leased = leased + :leased
    WHERE id = :id""")
_PRESUME = text("UPDATE ledger_leases SET presumed = 1 WHERE holder = :holder AND window_id = :window")
_RESUME = text("UPDATE ledger_leases SET presumed = 0 WHERE holder = :holder")
_DROP = text("DELETE FROM ledger_leases WHERE holder = :holder AND window_id = :window")
_DROP_ALL = text("DELETE FROM ledger_leases WHERE holder = :holder")
_STRIKE = text("DELETE FROM ledger_holders WHERE id = :holder")
_NOTHING = _both("""
    DELETE FROM ledger_leases WHERE amount = 0
    AND window_id IN (SELECT id FROM ledger_windows WHERE ends IS NOT NULL AND ends < NOW() - 60000)""")
_OLD = _both("""
    DELETE FROM ledger_windows
    WHERE span IN ('minute', 'hour') AND unit <> 'money' AND ends < NOW() - :kept
    AND id NOT IN (SELECT window_id FROM ledger_leases)""")
_DEAD = _both("""
    DELETE FROM ledger_holders WHERE over = 1 AND seen < NOW() - :kept AND id NOT IN (SELECT holder FROM ledger_leases)
    """)
