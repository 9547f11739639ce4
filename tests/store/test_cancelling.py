"""A durable run that is cancelled closes its upstream, and holds nothing of any budget any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, time

import msgspec
import pytest

from dirigent.conductor import Conductor
from dirigent.core.allowances import Allowance
from dirigent.core.identity import Principal
from dirigent.core.journal import Cancelled, Ended, Submission
from dirigent.core.purposes import Purpose
from dirigent.core.rules import AllowanceRule, KeyRule, ProjectRule, PurposeRule, Rules, TenantRule
from dirigent.durable import Durable
from dirigent.engines import EmbeddedEngine
from dirigent.memory import MemoryObserver
from dirigent.memory.rights import MemoryRights
from dirigent.store import Database
from dirigent.store.journal import StoredJournal
from dirigent.store.ledger import LeasedLedger, standings
from dirigent.store.pulse import Pulse
from dirigent.store.runs import Runs
from dirigent.store.vault import Vault
from tests.net.providers import Provider, Visit, provider
from tests.world import World

WHO = Principal("acme", "sales", "k", purposes=("general",))
BUDGET = Allowance("b", "key", "k", "money", 10**12, "total", currency="USD", tenant="acme")
RULES = Rules(
    tenants=(TenantRule("acme"),),
    projects=(ProjectRule("acme", "sales"),),
    purposes=(PurposeRule("acme", Purpose("general", models=("*",))),),
    keys=(KeyRule("k", b"k", "acme", "sales"),),
    allowances=(AllowanceRule("acme", BUDGET),),
)


async def cancelled(database: Database, folder: Path, many: int) -> list[float]:
    """Seconds from each order to end a run until its upstream was closed; nothing is held once the last is over."""
    gone: list[float] = []

    async def silent(visit: Visit) -> None:
        await visit.request()
        await visit.until_gone()
        gone.append(monotonic())

    async with provider(silent) as vendor:
        price = {"input": 1000, "output": 2000}
        world = World(
            {
                "a": {
                    "type": "deployment", "provider": "p", "name": "a", "price": price, "max_output": 100,
                    "context_window": 600, "retries": 0,
                },
                "q": {"type": "pipeline", "steps": [{"type": "prompt", "name": "s", "model": "a", "prompt": "hi"}]},
            },
            {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1"}},
        )  # fmt: skip
        ledger = LeasedLedger(database, folder / "ledger", MemoryObserver(), pace=0.02)
        conductor = Conductor(world.catalog, msgspec.structs.replace(world.ports, ledger=ledger), MemoryRights(RULES))
        vault = Vault(database, folder / "keys")
        journal = StoredJournal(database, vault)
        engine, pulse = EmbeddedEngine(journal, "w"), Pulse(database)
        ordering = Runs(vault, news=engine.told)  # as the control plane of the same node does it
        journal.news = engine.told
        journal.start()
        await ledger.start()
        await engine.start(Durable(conductor, ()))
        pulse.start(lambda _: engine.told())
        delays: list[float] = []
        for number in range(many):
            run = f"run-{number}"
            await engine.submit(
                Submission(
                    run=run, principal=WHO, model="q", revision=world.catalog.revision, body=b'"hi"', purpose="general"
                )
            )
            await until(partial(_arrived, vendor, number))
            assert ledger.running("b") == [run]
            ordered = monotonic()
            order = Cancelled(at=time(), by="m-1")
            assert await database.writing(partial(ordering.wake, run=run, entry=order))
            await until(partial(_longer, gone, number))
            delays.append(gone[number] - ordered)
            async with asyncio.timeout(30):
                ended = [entry async for entry in engine.follow(run)][-1]
            assert isinstance(ended, Ended)
            assert ended.status == "cancelled"
            assert ledger.running("b") == []
        pulse.close()
        await engine.close()
        await ledger.close()  # what it had leased goes back
        journal.close()
        standing = database.read(partial(standings, allowances=[BUDGET], now=time()))["b"]
        assert standing.reserved == 0
        assert len(vendor.visits) == many  # and nobody was asked once the order was there
        print(f"presumed spent by upstreams that were cut: {standing.presumed}")
    return delays


def _arrived(vendor: Provider, number: int) -> bool:
    return len(vendor.visits) > number and bool(vendor.visits[number].bodies)


def _longer(many: list[float], number: int) -> bool:
    return len(many) > number


async def until(truth: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not truth():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_run_that_is_cancelled_closes_its_upstream_and_holds_nothing(
    database: Database, tmp_path: Path
) -> None:
    assert len(await cancelled(database, tmp_path, 3)) == 3


@pytest.mark.prove
async def test_a_hundred_upstreams_are_closed_within_a_tenth_of_a_second(database: Database, tmp_path: Path) -> None:
    delays = await cancelled(database, tmp_path, 100)

    print(
        f"{'sqlite' if database.lite else 'postgresql'}: cancelled to closed {1000 * median(delays):.1f} ms (median),"
        f" {1000 * quantiles(delays, n=100)[98]:.1f} ms (p99), {1000 * max(delays):.1f} ms at most"
    )
    assert quantiles(delays, n=100)[98] <= 0.1
