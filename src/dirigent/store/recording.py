"""How records are written: a row for each, its names as numbers, and counted in the sums in the same transaction.

A node writes each of its requests down, so this is a good part of what a request costs: what requests have in common is
looked up once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from dirigent.core.observations import Served
from dirigent.store.rows import put
from dirigent.store.usage import EPOCH, add, place_at
from dirigent.store.words import kept

__all__ = ["ESTIMATED", "STREAMED", "STRETCH", "packed", "unpacked", "write"]

STREAMED, ESTIMATED = 1, 2
"""Flags of a record."""
STRETCH = 600_000
"""Milliseconds of each stretch of time of which is known which keys have records in it."""
_RUN = "run-"
_OURS = len(_RUN) + 24
"""Letters of an id of ours."""
_PACKED = 12
"""Bytes of the chance in it."""
_LONGEST_ROUTE = 200
_LOCK = 0x_D1_71_6E_06

_Words = tuple[str | None, ...]
"""Tenant, project, purpose, key, member, path, model, deployment, revision, code and currency."""
_COLUMNS = (
    *("tenant", "id", "run", "project", "purpose", "key", "member", "path", "model", "deployment", "revision"),
    *("status", "code", "flags", "attempts", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
    *("cost", "currency", "duration", "first_token", "transaction_id", "request", "route"),
)


def write(connection: Connection, served: Sequence[Served]) -> None:
    """Writes records and counts them in the sums of usage; what belongs to no tenant is left out."""
    alike: dict[_Words, list[Served]] = {}
    for each in served:
        if each.tenant is None:
            continue
        cost = each.cost
        words = (
            each.tenant, each.project, each.purpose, each.key, each.member, each.path, each.model, each.deployment,
            each.revision, each.code, cost.currency if cost is not None else None,
        )  # fmt: skip
        found = alike.get(words)
        if found is None:
            found = alike[words] = []
        found.append(each)
    if not alike:
        return
    ids = kept(connection, {word for words in alike for word in words if word is not None})
    known = {tuple(ids[word] if word is not None else 0 for word in words): each for words, each in alike.items()}
    taken = _taken(connection, known)
    rows: list[tuple[Any, ...]] = []
    stretches: set[tuple[int, int, int, int]] = set()
    for numbers, several in known.items():
        tenant, purpose, key = numbers[0], numbers[2], numbers[3]
        for place, row in _rows(numbers, several, taken[tenant]):
            rows.append(row)
            if key:
                at = place // 256 + EPOCH
                stretches.add((tenant, key, at - at % STRETCH, purpose))
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
        times = [each.at for each in several]
        first, last = bounds.get(numbers[0], (times[0], times[0]))
        bounds[numbers[0]] = min(first, *times), max(last, *times)
    return {
        tenant: set(
            connection.execute(
                text("""SELECT id FROM records WHERE tenant = :tenant AND id >= :first AND id <= :last"""),
                {
                    "tenant": tenant,
                    "first": place_at(int(first * 1000)),
                    "last": place_at(int(last * 1000)) + 100_000,
                },
            ).scalars()
        )
        for tenant, (first, last) in bounds.items()
    }


def _rows(
    numbers: tuple[int, ...], several: Sequence[Served], taken: set[int]
) -> Sequence[tuple[int, tuple[Any, ...]]]:
    """A row for each record, and its place: its millisecond's first one that no other record has."""
    tenant, project, purpose, key, member, path, model, deployment, revision, code, currency = (
        number or None for number in numbers
    )
    rows = []
    for each in several:
        place = place_at(int(each.at * 1000))
        while place in taken:
            place += 1
        taken.add(place)
        run, first, route, cost = each.run, each.first_token, each.route, each.cost
        rows.append((place, (
            tenant, place, packed(run), project, purpose, key, member, path, model, deployment, revision,
            each.status, code, STREAMED * each.streamed + ESTIMATED * each.estimated, each.attempts,
            each.input_tokens, each.output_tokens, each.cached_tokens or None, each.reasoning_tokens or None,
            cost.nano if cost is not None else None, currency,
            round(each.seconds * 1000), round(first * 1000) if first is not None else None,
            each.transaction, each.request if each.request != run else None,
            route[:_LONGEST_ROUTE] if route is not None else None,
        )))  # fmt: skip
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
