"""What was used, in sums by minute, hour and day, so that a question about a year reads a few hundred rows.

The sums are written in the transaction of the records that they count, so both always agree. Those by key and member
stand in a table of their own, which forgets people as soon as their records are forgotten.

Longer than 400 lines, because the statements that write sums, add them up and forget them stand side by side here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, text

from dirigent.core.observations import Served
from dirigent.core.sketch import Sketch
from dirigent.store.rows import matching, put
from dirigent.store.words import ids_of, words_of

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "Part",
    "Percentiles",
    "Question",
    "Used",
    "add",
    "latency",
    "place_at",
    "prune_rollups",
    "tiles",
    "usage",
]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
_GRAINS = (MINUTE, HOUR, DAY)
_KEPT = {MINUTE: 8 * DAY, HOUR: 100 * DAY, DAY: 3_660 * DAY}
"""How long sums are kept: minutes for a week, hours for a quarter, days for ten years."""
_LOCK = 0x_D1_71_6E_07
"""The advisory lock under which nodes write sums one after the other."""

Part = Literal[
    "project", "purpose", "model", "deployment", "code", "day", "hour", "minute", "key", "member", "transaction"
]
_NAMED = ("project", "purpose", "model", "deployment", "code", "key", "member")
_PERSONAL = frozenset({"key", "member"})
_TIMES = {"day": DAY, "hour": HOUR, "minute": MINUTE}


class Used(msgspec.Struct, frozen=True):
    """What was used of one currency by all that have the same parts."""

    parts: tuple[str | int | None, ...]
    """In the order in which they were asked for; days, hours and minutes as the milliseconds at which they begin."""
    currency: str | None
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: int
    unpriced: int
    """Answers whose cost nobody knows: they are not in `cost`."""


class Percentiles(msgspec.Struct, frozen=True):
    """How long answers took, in seconds, right within one percent."""

    parts: tuple[str | int | None, ...]
    requests: int
    p50: float | None
    p95: float | None
    p99: float | None
    first_p50: float | None
    first_p95: float | None
    """Until the first piece of a stream."""


class _Sum:
    """What one row of sums counts."""

    __slots__ = ("cached", "cost", "first", "input", "latency", "output", "reasoning", "requests", "unpriced")

    def __init__(self) -> None:
        self.requests = self.input = self.output = self.cached = self.reasoning = self.cost = self.unpriced = 0
        self.latency, self.first = Sketch(), Sketch()

    def count(self, several: Sequence[Served]) -> None:
        """Counts some that were served, with their durations."""
        self.requests += len(several)
        for each in several:
            self.input += each.input_tokens or 0
            self.output += each.output_tokens or 0
            self.cached += each.cached_tokens
            self.reasoning += each.reasoning_tokens
            if each.cost is not None:
                self.cost = each.cost.added_to(self.cost)
            elif each.input_tokens is not None or each.output_tokens is not None:
                self.unpriced += 1
        self.latency.extend([each.seconds for each in several])
        self.first.extend([each.first_token for each in several if each.first_token is not None])

    def take(self, other: _Sum) -> None:
        """Adds what another one has counted, durations aside."""
        self.requests += other.requests
        self.input += other.input
        self.output += other.output
        self.cached += other.cached
        self.reasoning += other.reasoning
        self.cost += other.cost
        self.unpriced += other.unpriced

    def sums(self) -> tuple[int, ...]:
        """In the order of `_SUMS`."""
        return self.requests, self.input, self.output, self.cached, self.reasoning, self.cost, self.unpriced


# --- writing ----------------------------------------------------------------------------------------------------------


def add(connection: Connection, served: Mapping[tuple[int, ...], Sequence[Served]]) -> None:
    """Counts what was served, by the numbers of the words that it has in common.

    These are tenant, project, purpose, key, member, path, model, deployment, revision, code and currency, 0 for none;
    and the status.
    """
    if connection.dialect.name == "postgresql":  # on SQLite there is one writer anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    rollups: dict[tuple[int, ...], _Sum] = {}
    people: dict[tuple[int, ...], _Sum] = {}
    for numbers, several in served.items():
        tenant, project, purpose, key, member, _, model, deployment, _, code, currency, _ = numbers
        what = (project, purpose, model, deployment, code, currency)
        for minute, some in _by_minute(several).items():
            found = _Sum()
            found.count(some)
            _at(people, (tenant, minute - minute % DAY, key, member, *what)).take(found)
            for grain in _GRAINS:
                row = _at(rollups, (tenant, grain, minute - minute % grain, *what))
                row.take(found)
                row.latency.take(found.latency)
                row.first.take(found.first)
    _add_to_sketches(connection, rollups)
    put(
        connection,
        "usage_rollups",
        (*_ROLLUP, *_SUMS, "latency", "first_token"),
        [(*key, *row.sums(), str(row.latency), str(row.first)) for key, row in sorted(rollups.items())],
        _added_to("usage_rollups", _ROLLUP, "latency", "first_token"),
    )
    put(
        connection,
        "usage_people",
        (*_PEOPLE, *_SUMS),
        [(*key, *row.sums()) for key, row in sorted(people.items())],
        _added_to("usage_people", _PEOPLE),
    )


def _by_minute(several: Sequence[Served]) -> Mapping[int, Sequence[Served]]:
    """What was served in each minute; nearly always all of it in one."""
    times = [each.at for each in several]
    first, last = (int(each * 1000) // MINUTE * MINUTE for each in (min(times), max(times)))
    if first == last:
        return {first: several}
    minutes: dict[int, list[Served]] = {}
    for each in several:
        minutes.setdefault(int(each.at * 1000) // MINUTE * MINUTE, []).append(each)
    return minutes


_WHAT = ("project", "purpose", "model", "deployment", "code", "currency")
_ROLLUP = ("tenant", "grain", "starts", *_WHAT)
_PEOPLE = ("tenant", "starts", "key", "member", *_WHAT)
_SUMS = ("requests", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost", "unpriced")


def _added_to(table: str, key: Sequence[str], *replaced: str) -> str:
    """What becomes of a row that is there already: its sums grow, and its sketches are replaced."""
    grown = [f"{name} = {table}.{name} + excluded.{name}" for name in _SUMS]
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET " + ", ".join(
        (*grown, *(f"{name} = excluded.{name}" for name in replaced))
    )


def _at(sums: dict[tuple[int, ...], _Sum], key: tuple[int, ...]) -> _Sum:
    found = sums.get(key)
    if found is None:
        found = sums[key] = _Sum()
    return found


def _add_to_sketches(connection: Connection, rollups: Mapping[tuple[int, ...], _Sum]) -> None:
    """Takes what the sketches in the database have counted so far into the new ones, which replace them."""
    written = matching(connection, "usage_rollups", _ROLLUP, sorted(rollups), ("latency", "first_token"))
    for durations, firsts, *key in written:
        row = rollups[tuple(key)]
        row.latency.take(Sketch.read(durations))
        row.first.take(Sketch.read(firsts))


# --- reading ----------------------------------------------------------------------------------------------------------


class Question(msgspec.Struct, frozen=True):
    """What is asked about the sums: of which time, one row for what, and of what alone.

    Sums by minute are kept for a week.
    """

    tenant: str
    since: int
    until: int
    """Before this millisecond."""
    now: int
    by: tuple[Part, ...] = ()
    """Days are those of UTC."""
    only: Mapping[str, str] = {}
    """The word that each of these parts must have."""


def usage(connection: Connection, question: Question) -> Sequence[Used]:
    """What was used, one row for each combination of the parts and each currency.

    Where keys or members are asked about, the answer is about whole days.
    """
    by, only = question.by, question.only
    since, until = question.since, question.until
    wanted = {*by, *only}
    if "transaction" in wanted:
        source, values = _of_records(since, until)
    elif wanted & _PERSONAL:
        source, values = _of_people(since, until)
    else:
        source, values = _of_rollups(_tiled(question))
    where, filters = _where(connection, only)
    if where is None:
        return []
    columns = [_column(part) for part in (*by, "currency")]
    rows = connection.execute(
        # every word of the statement stands in this file: what callers say comes in as values alone
        text(f"""
            SELECT {", ".join(columns)}, sum(requests), sum(CASE WHEN code <> 0 THEN requests ELSE 0 END),
                   sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(reasoning_tokens),
                   sum(cost), sum(unpriced)
            FROM ({source}) AS part
            WHERE 1 = 1 {where}
            GROUP BY {", ".join(columns)}"""),  # noqa: S608
        values | filters | {"tenant": _tenant(connection, question.tenant)},
    ).all()
    words = words_of(connection, _ids_in(rows, (*by, "currency")))
    many = len(by)
    return sorted(
        (
            Used(
                tuple(_said(part, row[place], words) for place, part in enumerate(by)),
                words.get(row[many]),
                *(int(each or 0) for each in row[many + 1 :]),
            )
            for row in rows
        ),
        key=_order,
    )


def latency(connection: Connection, question: Question) -> Sequence[Percentiles]:
    """How long answers took; neither by key, member nor transaction, of which no sketches are kept."""
    by, only = question.by, question.only
    source, values = _of_rollups(_tiled(question))
    where, filters = _where(connection, only)
    if where is None:
        return []
    columns = [_column(part) for part in by]
    rows = connection.execute(
        text(f"SELECT {', '.join((*columns, 'latency', 'first_token'))} FROM ({source}) AS part WHERE 1 = 1 {where}"),  # noqa: S608
        values | filters | {"tenant": _tenant(connection, question.tenant)},
    ).all()
    written: dict[tuple[Any, ...], tuple[list[str], list[str]]] = {}
    for *parts, durations, firsts in rows:
        both = written.setdefault(tuple(parts), ([], []))
        both[0].append(durations)
        both[1].append(firsts)
    sketches = {
        parts: (Sketch.together(durations), Sketch.together(firsts)) for parts, (durations, firsts) in written.items()
    }
    words = words_of(connection, _ids_in(rows, by))
    found = [
        Percentiles(
            tuple(_said(part, parts[place], words) for place, part in enumerate(by)),
            whole.count,
            *(whole.quantile(share) for share in (0.5, 0.95, 0.99)),
            *(first.quantile(share) for share in (0.5, 0.95)),
        )
        for parts, (whole, first) in sketches.items()
    ]
    return sorted(found, key=_order)


def _tiled(question: Question) -> Sequence[tuple[int, int, int]]:
    grain = MINUTE if "minute" in question.by else HOUR if "hour" in question.by else None
    return tiles(question.since, question.until, question.now, grain=grain)


def tiles(since: int, until: int, now: int, *, grain: int | None = None) -> Sequence[tuple[int, int, int]]:
    """The sums that make up a time, each as grain, start and end: whole days where there are, then hours and minutes.

    A bound that lies within a minute, or so long ago that fine sums of it are not kept any more, is moved outwards.
    With `grain` all are of that grain.
    """
    finest = MINUTE if grain is None else grain
    if since < now - _KEPT[MINUTE] + DAY and grain is None:
        finest = HOUR
    if since < now - _KEPT[HOUR] + DAY and grain is None:
        finest = DAY
    since -= since % finest
    until += -until % finest
    laid: list[tuple[int, int, int]] = []
    _lay(laid, since, until, [each for each in reversed(_GRAINS) if each >= finest and grain in (None, each)])
    return laid


def _lay(laid: list[tuple[int, int, int]], since: int, until: int, grains: Sequence[int]) -> None:
    if since >= until:
        return
    grain, *finer = grains
    first, last = since + -since % grain, until - until % grain
    if first >= last:
        _lay(laid, since, until, finer)
        return
    _lay(laid, since, first, finer)
    laid.append((grain, first, last))
    _lay(laid, last, until, finer)


def prune_rollups(connection: Connection, now: int) -> int:
    """Forgets fine sums that are old; how many rows that were."""
    gone = 0
    for grain, kept in _KEPT.items():
        gone += connection.execute(
            text("""
                DELETE FROM usage_rollups
                WHERE tenant IN (SELECT id FROM record_words) AND grain = :grain AND starts < :before"""),
            {"grain": grain, "before": now - kept},
        ).rowcount
    return gone


_SUMMED = ", ".join(_SUMS)


def _of_rollups(laid: Sequence[tuple[int, int, int]]) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {}
    selects = []
    for place, (grain, first, last) in enumerate(laid or ((DAY, 0, 0),)):
        values |= {f"grain{place}": grain, f"first{place}": first, f"last{place}": last}
        selects.append(
            f"SELECT starts, project, purpose, model, deployment, code, currency, {_SUMMED}, latency, first_token"  # noqa: S608
            f" FROM usage_rollups WHERE tenant = :tenant AND grain = :grain{place}"
            f" AND starts >= :first{place} AND starts < :last{place}"
        )
    return " UNION ALL ".join(selects), values


def _of_people(since: int, until: int) -> tuple[str, dict[str, Any]]:
    source = (
        f"SELECT starts, key, member, project, purpose, model, deployment, code, currency, {_SUMMED}"  # noqa: S608
        " FROM usage_people WHERE tenant = :tenant AND starts >= :since AND starts < :until"
    )
    return source, {"since": since - since % DAY, "until": until + -until % DAY}


def _of_records(since: int, until: int) -> tuple[str, dict[str, Any]]:
    return _RECORDS, {"since": place_at(since), "until": place_at(until), "epoch": EPOCH}


_RECORDS = """
    SELECT r.id / 256 + :epoch AS starts, transaction_id,
           key, member, project, purpose, model, deployment, code, currency, 1 AS requests,
           coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
           coalesce(cached_tokens, 0) AS cached_tokens, coalesce(reasoning_tokens, 0) AS reasoning_tokens,
           coalesce(cost, 0) AS cost,
           CASE WHEN cost IS NULL AND (input_tokens IS NOT NULL OR output_tokens IS NOT NULL) THEN 1 ELSE 0 END
               AS unpriced
    FROM records r JOIN record_groups g ON g.id = r.group_id
    WHERE r.tenant = :tenant AND transaction_id IS NOT NULL AND r.id >= :since AND r.id < :until"""

EPOCH = 1_767_225_600_000
"""The beginning of 2026: places count from here, so that for many years they fit into six bytes."""


def place_at(at: int) -> int:
    """The first place of a millisecond."""
    return (at - EPOCH) * 256


def _column(part: str) -> str:
    if part in _TIMES:
        return f"starts - starts % {_TIMES[part]}"
    return "transaction_id" if part == "transaction" else part


def _where(connection: Connection, only: Mapping[str, str]) -> tuple[str | None, dict[str, Any]]:
    """The conditions for what is asked about; None where a word is so new that nothing can have it."""
    named = {part: word for part, word in only.items() if part in _NAMED}
    ids = ids_of(connection, named.values())
    if any(word not in ids for word in named.values()):
        return None, {}
    clauses = [f"AND {part} = :only_{part}" for part in _NAMED if part in named]
    values: dict[str, Any] = {f"only_{part}": ids[word] for part, word in named.items()}
    if "transaction" in only:
        clauses.append("AND transaction_id = :only_transaction")
        values["only_transaction"] = only["transaction"]
    return " ".join(clauses), values


def _tenant(connection: Connection, tenant: str) -> int:
    return ids_of(connection, (tenant,)).get(tenant, -1)


def _ids_in(rows: Iterable[Sequence[Any]], parts: Sequence[str]) -> set[int]:
    places = [place for place, part in enumerate(parts) if part in _NAMED or part == "currency"]
    return {row[place] for row in rows for place in places}


def _said(part: str, value: Any, words: Mapping[int, str]) -> str | int | None:
    if part in _TIMES:
        return int(value)
    return value if part == "transaction" else words.get(value)


def _order(row: Used | Percentiles) -> tuple[tuple[bool, str, int], ...]:
    return tuple(
        (part is not None, part if isinstance(part, str) else "", part if isinstance(part, int) else 0)
        for part in row.parts
    )
