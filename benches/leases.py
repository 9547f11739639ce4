"""What a lease costs: one posting to the embedded database over five levels, and where its time goes.

`python -m benches.leases` prints it; with `FIGURES=1` it notes it in governance.json. The disk's own share is measured
by the same transaction without waiting for the disk, and by a bare `fdatasync` of as many bytes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from sqlalchemy import Connection

from benches.governance import Figure, note
from dirigent.core.allowances import Allowance, Level
from dirigent.store import Database, upgrade
from dirigent.store.ledger.books import Entry, Posting, join, post, window_at

_ROUNDS = 3_000
_LEVELS: tuple[Level, ...] = ("tenant", "project", "purpose", "member", "key")
_GOAL = 0.3


def main() -> int:
    """Measures, prints and notes."""
    with tempfile.TemporaryDirectory(prefix="leases-") as folder:
        found = {
            "a posting over five levels": _posted(Path(folder) / "full", "FULL"),
            "the same without waiting for the disk": _posted(Path(folder) / "normal", "NORMAL"),
            "of it, what the database itself takes": _bare(Path(folder) / "bare"),
            "`fdatasync` of as many bytes": _synced(Path(folder) / "synced"),
        }
    figures = []
    for name, times in found.items():
        times.sort()
        goal = _GOAL if name.startswith("a posting") else None
        figures.append(Figure(f"{name}, p50", round(median(times), 3), "ms"))
        figures.append(Figure(f"{name}, p99", round(times[int(0.99 * len(times))], 3), "ms", goal))
    note("lease", f"{_ROUNDS:,} postings that book, return and lease, one after the other, on SQLite", *figures)
    return 0


def _database(folder: Path, synchronous: str) -> Database:
    database = Database.within(folder)
    upgrade(database)
    if synchronous != "FULL":

        def lowered(connection: Connection) -> None:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        database.write(lowered)
    return database


def _postings() -> Callable[[int], Posting]:
    """The posting of each round: what a worker says under load, of windows that the database knows."""
    most = 10**15
    rules = [Allowance(f"b-{level}", level, level, "money", most, "month", currency="USD") for level in _LEVELS]
    windows = [window_at(rule, time.time()) for rule in rules]

    def made(number: int) -> Posting:
        entries = [Entry(window, number > 1, booked=700, consumed=700, returned=300, need=1_000) for window in windows]
        if number == 1:
            entries = [Entry(window, need=10_000) for window in windows]
        return Posting("holder", 1, number, number, entries)

    return made


def _posted(folder: Path, synchronous: str) -> list[float]:
    database, posting = _database(folder, synchronous), _postings()
    database.write(lambda connection: join(connection, "holder", "node"))
    taken = []
    for number in range(1, _ROUNDS + 1):
        one = posting(number)
        began = time.perf_counter()
        database.write(lambda connection, one=one: post(connection, one))  # type: ignore[misc]  # a bound default
        taken.append(1000 * (time.perf_counter() - began))
    database.close()
    return taken


def _bare(folder: Path) -> list[float]:
    """The statements of a posting, by the driver alone and without the disk."""
    database, posting = _database(folder, "NORMAL"), _postings()
    database.write(lambda connection: join(connection, "holder", "node"))
    database.write(lambda connection: post(connection, posting(1)))
    ids = [entry.window.id for entry in posting(1).entries]
    pooled = database.engine.raw_connection()
    cursor = pooled.cursor()
    taken = []
    for number in range(2, _ROUNDS + 1):
        began = time.perf_counter()
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("UPDATE ledger_holders SET posted = ?, flushed = ? WHERE id = 'holder'", (number, number))
        for id_ in ids:
            cursor.execute(
                "UPDATE ledger_windows SET booked = booked + 700, leased = leased + 0 WHERE id = ?"
                " AND booked + presumed + overrun + leased + 700 <= most",
                (id_,),
            )
        cursor.executemany(
            "UPDATE ledger_leases SET amount = ? WHERE holder = 'holder' AND window_id = ?",
            [(10_000 + number, id_) for id_ in ids],
        )
        cursor.execute("COMMIT")
        taken.append(1000 * (time.perf_counter() - began))
    pooled.close()
    database.close()
    return taken


def _synced(file: Path) -> list[float]:
    """Appending as many bytes as a posting puts into the journal, and waiting for the disk."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        os.write(descriptor, bytes(3 * 4120))
        os.fdatasync(descriptor)
        taken.append(1000 * (time.perf_counter() - began))
    os.close(descriptor)
    return taken


if __name__ == "__main__":
    sys.exit(main())
