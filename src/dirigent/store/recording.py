"""How records are written: a row for each, its names as numbers, and counted in the sums in the same transaction.

What several records have in common stands in a group: these need not be told apart by anything but the group's number.

A node writes each of its requests down, so this is a good part of what a request costs: what requests have in common is
looked up once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, text

from dirigent.core.observations import Served
from dirigent.store.rows import Statement, matching, put
from dirigent.store.usage import DAY, EPOCH, add, place_at
from dirigent.store.words import kept

__all__ = ["ESTIMATED", "FAILED", "STREAMED", "STRETCH", "packed", "unpacked", "write"]

STREAMED, ESTIMATED, FAILED = 1, 2, 4
"""Flags of a record; whoever failed has an index, so its flag is larger than all others together."""
STRETCH = 600_000
"""Milliseconds of each stretch of time of which is known which keys have records in it."""
_RUN = "run-"
_OURS = len(_RUN) + 24
"""Letters of an id of ours."""
_PACKED = 12
"""Bytes of the chance in it."""
_LONGEST_ROUTE = 200
_LOCK = 0x_D1_71_6E_06

_Common = tuple[str | int | None, ...]
"""Tenant, project, purpose, key, member, path, model, deployment, revision, code and currency, and the status."""
_COLUMNS = (
    *("tenant", "id", "run", "group_id", "flags", "attempts", "input_tokens", "output_tokens", "cached_tokens"),
    *("reasoning_tokens", "cost", "duration", "first_token", "transaction_id", "request", "route"),
)
_GROUPED = (
    *("tenant", "project", "purpose", "key", "member", "path", "model", "deployment", "revision", "code"),
    *("currency", "status"),
)
_TAKEN = Statement("SELECT id FROM records WHERE tenant = :tenant AND id >= :first AND id <= :last")
_ENDED = attrgetter("at")


def write(connection: Connection, served: Sequence[Served]) -> None:
    """Writes records and counts them in the sums of usage; what belongs to no tenant is left out."""
    alike: dict[_Common, list[Served]] = {}
    for each in served:
        if each.tenant is None:
            continue
        cost = each.cost
        common = (
            each.tenant, each.project, each.purpose, each.key, each.member, each.path, each.model, each.deployment,
            each.revision, each.code, cost.currency if cost is not None else None, each.status,
        )  # fmt: skip
        found = alike.get(common)
        if found is None:
            found = alike[common] = []
        found.append(each)
    if not alike:
        return
    ids = kept(connection, {word for common in alike for word in common if isinstance(word, str)})
    known = {
        tuple(ids[word] if isinstance(word, str) else word or 0 for word in common): each
        for common, each in alike.items()
    }
    taken = _taken(connection, known)
    groups = _groups(connection, known)
    rows: list[tuple[Any, ...]] = []
    stretches: set[tuple[int, int, int, int]] = set()
    for numbers, several in known.items():
        tenant, purpose, key = numbers[0], numbers[2], numbers[3]
        written = _rows(numbers, several, taken[tenant], groups[numbers])
        rows += written
        if key:
            starts = {(row[1] // 256 + EPOCH) // STRETCH for row in written}
            stretches.update((tenant, key, each * STRETCH, purpose) for each in starts)
    rows.sort(key=_by_place)  # neighbours in the table are written one after the other
    put(connection, "records", _COLUMNS, rows)
    put(
        connection,
        "record_stretches",
        ("tenant", "key", "starts", "purpose"),
        sorted(stretches),
        "ON CONFLICT (tenant, key, starts, purpose) DO NOTHING",
    )
    add(connection, known)


def _by_place(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[0], row[1]


def _taken(connection: Connection, known: Mapping[tuple[int, ...], Sequence[Served]]) -> dict[int, set[int]]:
    """The places that are taken where these records will stand, by tenant."""
    if connection.dialect.name == "postgresql":  # two writers must not find the same place free
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    bounds: dict[int, tuple[float, float]] = {}
    for numbers, several in known.items():
        times = list(map(_ENDED, several))
        first, last = bounds.get(numbers[0], (times[0], times[0]))
        bounds[numbers[0]] = min(first, *times), max(last, *times)
    return {
        tenant: {
            row[0]
            for row in _TAKEN.rows(
                connection,
                {
                    "tenant": tenant,
                    "first": place_at(int(first * 1000)),
                    "last": place_at(int(last * 1000)) + 100_000,
                },
            )
        }
        for tenant, (first, last) in bounds.items()
    }


def _groups(connection: Connection, known: Mapping[tuple[int, ...], Sequence[Served]]) -> dict[tuple[int, ...], int]:
    """The numbers of the groups of these records, by what they have in common; new ones get one."""
    latest = {group: int(max(map(_ENDED, several)) * 1000) // DAY * DAY for group, several in known.items()}
    wanted = sorted(latest)  # in one order, so that neighbours in the index follow each other
    found = _found(connection, wanted)
    put(
        connection,
        "record_groups",
        (*_GROUPED, "latest"),
        [(*group, latest[group]) for group in wanted if group not in found or found[group][1] < latest[group]],
        f"ON CONFLICT ({', '.join(_GROUPED)}) DO UPDATE SET latest = excluded.latest",
    )
    found |= _found(connection, [group for group in wanted if group not in found])
    return {group: number for group, (number, _) in found.items()}


def _found(connection: Connection, groups: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, int]]:
    """The number of each of these groups that there is, and the day of its latest record."""
    return {
        tuple(numbers): (number, day)
        for number, day, *numbers in matching(connection, "record_groups", _GROUPED, groups, ("id", "latest"))
    }


def _rows(numbers: tuple[int, ...], several: Sequence[Served], taken: set[int], group: int) -> list[tuple[Any, ...]]:
    """A row for each record, at its millisecond's first place that no other record has."""
    tenant, failed = numbers[0], FAILED if numbers[9] else 0
    rows = []
    for each in several:
        place = place_at(int(each.at * 1000))
        while place in taken:
            place += 1
        taken.add(place)
        run, first, route, cost = each.run, each.first_token, each.route, each.cost
        rows.append((
            tenant, place, packed(run), group,
            STREAMED * each.streamed + ESTIMATED * each.estimated + failed, each.attempts,
            each.input_tokens, each.output_tokens, each.cached_tokens or None, each.reasoning_tokens or None,
            cost.nano if cost is not None else None,
            round(each.seconds * 1000), round(first * 1000) if first is not None else None,
            each.transaction, each.request if each.request != run else None,
            route[:_LONGEST_ROUTE] if route is not None else None,
        ))  # fmt: skip
    return rows


def packed(run: str) -> bytes:
    """A run's id in half its length where it is one of ours; any other one is longer than that."""
    if len(run) == _OURS and run.startswith(_RUN):
        chance = run[len(_RUN) :]
        try:
            short = bytes.fromhex(chance)
        except ValueError:
            short = b""
        if short.hex() == chance:  # else it held spaces, or capitals
            return short
    return run.encode().ljust(_PACKED + 1, b"\0")


def unpacked(run: bytes) -> str:
    """The id of a run that was packed."""
    return f"{_RUN}{run.hex()}" if len(run) == _PACKED else run.rstrip(b"\0").decode()
