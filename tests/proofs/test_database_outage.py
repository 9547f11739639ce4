"""PostgreSQL is gone under load: calls go on within the leases, are refused cleanly beyond, and nothing paid is lost.

`OUTAGE_SECONDS=600` makes the outage as long as that; it is shorter otherwise.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text

from benches.governance import Figure, note
from dirigent.store import Database
from tests.journeys.upstream import standing as vendor
from tests.proofs.asking import Asked, Route, heard
from tests.proofs.cutting import door
from tests.proofs.fleet import Fleet, ordered, postgres, standing

pytestmark = pytest.mark.prove

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "20"))
BEFORE, AFTER = 6.0, 8.0
CALLERS = 6
"""For each node and project; each asks about twelve times a second."""
PAUSE = 0.08
BUDGETED, FREE = "budgeted", "free"
REFUSED = "database_unavailable"
ROUTE = Route("/v1/chat/completions", "m", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 20})


def config(port: int) -> str:
    return f"""\
        providers:
          vendor: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1"}}
        models:
          m: {{type: deployment, provider: vendor, name: x, max_output: 20, price: {{input: 0, output: 2}}}}
        """


class Call(NamedTuple):
    at: float
    node: str
    project: str
    got: Asked


class Load:
    """Callers of two nodes, some on a budget and some without."""

    def __init__(self, fleet: Fleet, keys: dict[str, str]) -> None:
        self.fleet = fleet
        self.keys = keys
        self.calls: list[Call] = []
        self.ended = False

    async def caller(self, name: str, project: str) -> None:
        while not self.ended:
            one = self.fleet.nodes.get(name)
            if one is not None:
                at = time.monotonic()
                self.calls.append(Call(at, name, project, await heard(one.port, self.keys[project], ROUTE, "m")))
            await asyncio.sleep(PAUSE)


def there(url: str) -> None:
    """Makes sure that only the door was shut: where PostgreSQL itself has ended, no node is to blame."""
    database = Database.at(url)
    database.read(lambda connection: connection.execute(text("SELECT 1")))
    database.close()


def test_a_database_that_is_gone_costs_no_call_within_the_leases_and_no_booked_cent(tmp_path: Path) -> None:
    with (
        postgres(tmp_path) as url,
        door(url) as way,
        vendor("one two three four", delay=0.01) as one,
        ExitStack() as stack,
    ):
        fleet = Fleet(tmp_path, way.url, config(one.port), stack)
        for name in ("a", "b"):
            fleet.start(name)
        keys = {}
        for project in (BUDGETED, FREE):
            ordered(fleet.nodes["a"], "projects.create", name=project)
            keys[project] = ordered(fleet.nodes["a"], "keys.issue", project=project)["key"]
        ordered(fleet.nodes["a"], "budgets.set", project=BUDGETED, limit="1000000", currency="USD")
        load = Load(fleet, keys)

        async def storm() -> tuple[float, float]:
            await asyncio.sleep(1.5)  # by then every node knows the budget
            async with asyncio.TaskGroup() as tasks:
                for name in ("a", "b"):
                    for project in (BUDGETED, FREE):
                        for _ in range(CALLERS):
                            tasks.create_task(load.caller(name, project))
                await asyncio.sleep(BEFORE)
                gone = time.monotonic()
                way.shut()
                await asyncio.sleep(SECONDS / 2)
                fleet.kill("b")
                await asyncio.sleep(SECONDS / 2)
                await asyncio.to_thread(there, url)
                way.open()
                back = time.monotonic()
                await asyncio.to_thread(fleet.start, "b")
                await asyncio.sleep(AFTER)
                load.ended = True
            return gone, back

        gone, back = asyncio.run(storm())
        fleet.stop()
        database = Database.at(url)
        row = standing(database)[f"project {BUDGETED} money"]
        kept = database.read(lambda connection: connection.execute(text("SELECT count(*) FROM records")).scalar())
        database.close()

    budgeted = [call for call in load.calls if call.project == BUDGETED]
    during = [call for call in budgeted if gone < call.at < back and not (call.node == "b" and call.got.status == 0)]
    others = [call for call in load.calls if call.project == FREE and not (call.node == "b" and call.got.status == 0)]
    answered = [call for call in during if call.got.status == 200]
    paid = sum(call.got.nano for call in budgeted if call.got.status == 200)
    dirty = Counter((call.got.status, call.got.code) for call in during if call.got.status != 200)
    refused = dirty.pop((503, REFUSED), 0)
    again = min(call.at for call in budgeted if call.got.status == 200 and call.at > back) - back
    lasted = max(call.at for call in answered) - gone if answered else 0.0
    failed = sum(call.got.status != 200 for call in others)
    told = sum(call.got.status > 0 for call in load.calls)
    print(f"of budgeted calls: {dict(dirty)}; of others: {Counter(call.got[:2] for call in others)}")
    pace = len(load.calls) / (BEFORE + SECONDS + AFTER)
    note(
        "database outage",
        f"PostgreSQL is gone for {SECONDS:.0f} s under {pace:.0f} calls a second on"
        " two nodes, one of which is killed in the middle and started again afterwards",
        Figure("calls without a budget that failed meanwhile", failed, f"of {len(others):,}", 0),
        Figure("calls on a budget answered within the leases", len(answered)),
        Figure("the leases lasted", round(lasted, 1), "s"),
        Figure("refused beyond them as `database_unavailable`", refused),
        Figure("ended in any other way", sum(dirty.values()), "", 0),
        Figure("paid by answered calls and not in the books", max(0, paid - row.booked - row.presumed), "nano-USD", 0),
        Figure("presumed of the node that was killed", row.presumed, "nano-USD"),
        Figure("until a budget pays again once the database is back", round(again, 1), "s"),
        Figure("records that the killed node lost", max(0, told - int(kept or 0)), f"of {told:,}"),
    )
    assert failed == 0
    assert not dirty
    assert answered
    assert refused > 0
    assert row.leased == row.overrun == 0
    assert paid <= row.booked + row.presumed
