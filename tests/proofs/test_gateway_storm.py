"""Three nodes on one PostgreSQL, every route, a provider that misbehaves, kill -9 in between: the books hold its bill.

`GATEWAY_STORM=50000` makes the storm as long as that; it is shorter otherwise.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from benches.governance import Figure, note
from dirigent.store import Database
from tests.proofs.asking import ROUTES, ask
from tests.proofs.fleet import Fleet, ordered, postgres, standing
from tests.proofs.vendor import Vendor, vendor

pytestmark = pytest.mark.prove

CALLS = int(os.environ.get("GATEWAY_STORM", "8000"))
IN_FLIGHT = 256
NAMES = ("a", "b", "c")
KILLS = max(4, min(40, CALLS // 1000))
POOR, RICH, DEAF = "poor", "rich", "deaf"
REFUSED = ("budget_exceeded", "limit_exceeded")
_MOST_POOR = CALLS * 30_000
"""Nano-units: about a fifth of what the calls of the poor project would cost."""


def config(port: int) -> str:
    """Each project has models of its own, so that the provider's bill says whose they were."""
    lines = ["providers:", f'  v: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1"}}', "models:"]
    how = (
        "max_output: 60, price: {input: 1, output: 2}, retries: 1, "
        "timeouts: {connect: 2, first_byte: 0.8, idle: 0.8, total: 20}, breaker: {failures: 1000, share: 1}"
    )
    for whose in (POOR, RICH, DEAF):
        lines += [
            f"  {whose}-{name}: {{type: deployment, provider: v, name: {whose}-{name}, {how}}}"
            for name in ("plain", "second", "judge", "vectors", "voice", "ears", "painter", "guard", "deaf")
        ]
        both = f"candidates: [{whose}-plain, {whose}-second]"
        verify = f"verify: [{{type: judge, model: {whose}-judge, mark: 5}}]"
        lines += [
            f"  {whose}-routed: {{type: router, {both}}}",
            f"  {whose}-hedged: {{type: router, {both}, hedge: {{after: 0.02}}}}",
            f"  {whose}-judged: {{type: router, {both}, strategy: {{type: cascade, {verify}}}}}",
            f"  {whose}-nested: {{type: router, candidates: [{whose}-routed, {whose}-hedged]}}",
        ]
    return "\n".join(lines) + "\n"


def settled_in(fleet: Fleet) -> Mapping[str, str]:
    """A key for each project; budgets at four levels and limits of all three units over them."""
    one, keys = fleet.nodes["a"], {}
    ordered(one, "budgets.set", limit="1000000", currency="USD", window="month", zone="Europe/Berlin")
    ordered(one, "budgets.set", purpose="general", limit="1000000", currency="USD")
    for project, most in ((POOR, _MOST_POOR), (RICH, 10**15), (DEAF, 10**15)):
        ordered(one, "projects.create", name=project)
        issued = ordered(one, "keys.issue", project=project)
        keys[project] = issued["key"]
        ordered(one, "budgets.set", project=project, limit=f"{most / 10**9:.9f}", currency="USD")
        ordered(one, "budgets.set", key=issued["id"], limit="1000000", currency="USD", window="day")
        ordered(one, "limits.set", key=issued["id"], unit="requests", most=10**9, window="hour")
        ordered(one, "limits.set", key=issued["id"], unit="tokens", most=10**12, window="day")
        ordered(one, "limits.set", key=issued["id"], unit="calls", most=10**4)
    return keys


class Storm:
    """Callers that ask whichever nodes live, and what they got."""

    def __init__(self, fleet: Fleet, keys: Mapping[str, str]) -> None:
        self.fleet = fleet
        self.keys = keys
        self.left = CALLS
        self.chance = random.Random(5)
        self.ends: Counter[tuple[str, int, str]] = Counter()

    async def caller(self) -> None:
        while self.left > 0:
            self.left -= 1
            project = self.chance.choices((POOR, RICH, DEAF), (45, 45, 10))[0]
            route = self.chance.choice(ROUTES)
            model = f"{project}-{'deaf' if project == DEAF and route.model == 'plain' else route.model}"
            living = list(self.fleet.nodes.values())
            if not living:
                await asyncio.sleep(0.1)
                continue
            found = await ask(self.chance.choice(living).port, self.keys[project], route, model, self.chance)
            self.ends[project, found.status, found.code] += 1
            if found.status == 0:
                await asyncio.sleep(0.05)

    async def killer(self) -> int:
        """Kills a node, starts it again, and so on; how many that were."""
        kills = 0
        while self.left > 0 and kills < KILLS:
            due = self.left - CALLS // (KILLS + 1)
            while self.left > max(0, due):  # noqa: ASYNC110  what callers count down sets no event
                await asyncio.sleep(0.05)
            name = self.chance.choice(sorted(self.fleet.nodes))
            self.fleet.kill(name)
            kills += 1
            await asyncio.to_thread(self.fleet.start, name)
        return kills

    async def run(self) -> int:
        async with asyncio.TaskGroup() as tasks:
            killing = tasks.create_task(self.killer())
            for _ in range(IN_FLIGHT):
                tasks.create_task(self.caller())
        return killing.result()


def test_the_books_hold_the_bill_of_a_provider_that_misbehaves(tmp_path: Path) -> None:
    with postgres(tmp_path) as url, vendor(tmp_path / "vendor") as one, ExitStack() as stack:
        fleet = Fleet(tmp_path, url, config(one.port), stack)
        for name in NAMES:
            fleet.start(name)
        keys = settled_in(fleet)
        database = Database.at(url)
        time.sleep(1.5)  # by then every node knows the budgets
        storm, began = Storm(fleet, keys), time.monotonic()

        kills = asyncio.run(storm.run())
        seconds = time.monotonic() - began
        orphaned = orphaned_for(fleet, database, keys, one)
        fleet.start("c")
        fleet.stop()

        told(storm, standing(database), one, (kills, seconds, orphaned))
        database.close()


def orphaned_for(fleet: Fleet, database: Database, keys: Mapping[str, str], one: Vendor) -> float:
    """Kills a node for good in the middle of calls; seconds until what it had on hold is put away by the others."""

    async def calls() -> None:
        chance = random.Random(3)
        asking = [
            asyncio.create_task(ask(fleet.nodes["c"].port, keys[RICH], ROUTES[2], f"{RICH}-plain", chance))
            for _ in range(60)
        ]
        await asyncio.sleep(0.15)
        fleet.kill("c")
        await asyncio.gather(*asking)

    before = held(database)
    asyncio.run(calls())
    began = time.monotonic()
    seen = False
    while held(database) - before or not seen:
        seen = seen or bool(held(database) - before)
        assert time.monotonic() - began < 120, "what a dead node had on hold is still there"
        time.sleep(0.2)
    return time.monotonic() - began


def held(database: Database) -> int:
    """How many holders have something of a window of money and have not been heard of for five seconds."""
    found = database.read(
        lambda connection: connection.execute(
            text("""
                SELECT count(DISTINCT h.id) FROM ledger_holders h
                JOIN ledger_leases l ON l.holder = h.id AND l.amount > 0 AND l.presumed = 0
                WHERE h.seen < extract(epoch FROM clock_timestamp()) * 1000 - 8000""")
        ).scalar()
    )
    return int(found or 0)


def told(storm: Storm, books: Mapping[str, Any], one: Vendor, how: tuple[int, float, float]) -> None:
    """Prints and notes what came of it, and holds it against what was promised."""
    kills, seconds, orphaned = how
    bills = one.bills.read()
    charged = {
        project: sum(nano for name, nano in bills.items() if name.startswith(project)) for project in (POOR, RICH, DEAF)
    }
    rows = {project: books[f"project {project} money"] for project in (POOR, RICH, DEAF)}
    money = [row for name, row in books.items() if name.endswith("money")]
    for project, row in rows.items():
        print(
            f"{project}: charged {charged[project]:,}, booked {row.booked:,}, presumed {row.presumed:,},"
            f" overrun {row.overrun:,} of {row.most:,}"
        )
    for (project, status, code), many in sorted(storm.ends.items()):
        print(f"  {project} {status} {code}: {many}")
    poor, deaf = rows[POOR], rows[DEAF]
    spent = {project: row.booked + row.presumed + row.overrun for project, row in rows.items()}
    beyond = max(0, spent[POOR] - poor.most)
    truly = max(0, charged[POOR] - poor.most)
    uncovered = sum(max(0, charged[project] - spent[project]) for project in rows)
    false = count(storm, RICH, REFUSED) + count(storm, DEAF, REFUSED)
    honest = poor.overrun + rows[RICH].overrun
    shares = [100 * part / max(1, whole) for part, whole in (
        (deaf.overrun, charged[DEAF]),
        (sum(row.presumed for row in rows.values()), sum(charged.values())),
        (sum(row.booked for row in rows.values()), sum(charged.values())),
    )]  # fmt: skip
    note(
        "gateway storm",
        f"{sum(storm.ends.values()):,} requests on {len(ROUTES)} routes, {IN_FLIGHT} in flight, 3 nodes on one"
        f" PostgreSQL, {kills} killed and started again, a provider that misbehaves, {seconds:.0f} s",
        Figure("charged beyond a budget", truly, "nano-USD", 0),
        Figure("booked, presumed and overrun beyond a budget", beyond, "nano-USD", 0),
        Figure("charged by the provider and not in the books", uncovered, "nano-USD", 0),
        Figure("overrun by providers that keep to `max_tokens`", honest, "nano-USD", 0),
        Figure("overrun by one that does not, of what it charged", round(shares[0], 1), "%"),
        Figure("refused though there was room", false, "requests", 0),
        Figure("refused by the budget that was too small", count(storm, POOR, REFUSED), "requests"),
        Figure("a node is killed for good, until what it had on hold is presumed spent", round(orphaned, 1), "s", 120),
        Figure("presumed, of all that was charged", round(shares[1], 1), "%"),
        Figure("booked, of all that was charged", round(shares[2], 1), "%"),
    )
    assert all(row.leased == 0 for row in money)
    assert truly == beyond == uncovered == false == honest == 0
    assert count(storm, POOR, REFUSED) > 0
    tenant = books["tenant default money"]
    assert tenant.booked + tenant.presumed == sum(row.booked + row.presumed for row in rows.values())


def count(storm: Storm, project: str, codes: Sequence[str]) -> int:
    """How many calls of a project ended with one of these codes."""
    return sum(many for (whose, _, code), many in storm.ends.items() if whose == project and code in codes)
