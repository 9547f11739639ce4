"""A budget for each run counts all that the run asks in turn, and a model may give less to what it asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from dirigent.conductor import Conductor
from dirigent.core.allowances import Allowance
from dirigent.core.errors import BudgetExceeded, DirigentError, LimitExceeded
from dirigent.core.events import collect
from dirigent.core.identity import Principal
from dirigent.core.journal import Claimed, Ended, Entry, Submission, Suspended, fold
from dirigent.core.purposes import Purpose
from dirigent.core.rules import AllowanceRule, KeyRule, ProjectRule, PurposeRule, Rules, TenantRule
from dirigent.core.run import Run
from dirigent.core.usage import Money
from dirigent.durable import Durable
from dirigent.memory import MemoryObserver
from dirigent.memory.ledger import MemoryLedger
from dirigent.memory.rights import MemoryRights
from tests.net.providers import Manner, Provider, provider
from tests.upstream import answer, refusing, whole
from tests.world import World, request

PRICE = {"input": 1000, "output": 2000}
ANSWER = whole(answer("Guten Tag", usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}))
COST = 10 * 1_000_000 + 5 * 2_000_000
CENT = 10_000_000
ANNA = Principal("acme", "sales", "k", purposes=("general",))


class Governed(World):
    """Deployments at a scripted provider, and a key with a budget for each of its runs."""

    def __init__(self, vendor: Provider, most: int, models: dict[str, Any], *more: Allowance) -> None:
        self.vendor = vendor
        price = {"price": PRICE, "max_output": 100, "context_window": 600, "retries": 0}
        bound = {name: {"type": "deployment", "provider": "p", "name": name, **price} for name in ("a", "b", "c")}
        super().__init__(
            {**bound, **models},
            {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1"}},
        )
        self.ledger = MemoryLedger(MemoryObserver())
        self.ports = msgspec.structs.replace(self.ports, ledger=self.ledger)
        budget = Allowance("b", "key", "k", "money", most, "run", currency="USD", tenant="acme")
        rules = Rules(
            tenants=(TenantRule("acme"),),
            projects=(ProjectRule("acme", "sales"),),
            purposes=(PurposeRule("acme", Purpose("general", models=("*",))),),
            keys=(KeyRule("k", b"k", "acme", "sales"),),
            allowances=tuple(AllowanceRule("acme", each) for each in (budget, *more)),
        )
        self.conductor = Conductor(self.catalog, self.ports, MemoryRights(rules))

    def opened(self, model: str) -> Run:
        return self.conductor.open("run-1", model, ANNA)

    async def asked(self, model: str, run: Run | None = None) -> str:
        asked = request("hi", model)
        return (await collect(self.conductor.answer(asked, run or self.opened(model)))).text


@asynccontextmanager
async def governed(
    most: int, models: dict[str, Any] | None = None, manner: Manner = ANSWER, more: tuple[Allowance, ...] = ()
) -> AsyncIterator[Governed]:
    async with provider(manner) as vendor:
        yield Governed(vendor, most, models or {}, *more)


async def until_refused(world: Governed, run: Run) -> BudgetExceeded:
    """Asks again and again, until nothing more is affordable."""
    while True:
        try:
            await world.asked("a", run)
        except BudgetExceeded as refused:
            return refused


async def test_each_run_has_a_budget_of_its_own() -> None:
    async with governed(80 * CENT) as world:
        runs = [world.opened("a") for _ in range(3)]
        for run in runs:
            await world.asked("a", run)

        assert [run.allotment.used if run.allotment else None for run in runs] == [{"b": COST}] * 3


async def test_what_a_run_cannot_bear_is_refused_before_any_provider_is_asked() -> None:
    async with governed(1) as world:
        with pytest.raises(BudgetExceeded) as refused:
            await world.asked("a")

        assert (refused.value.level, refused.value.subject) == ("run", "run-1")
        assert world.vendor.visits == []


async def test_what_is_left_of_it_becomes_the_bound_of_the_answer() -> None:
    async with governed(76 * CENT) as world:
        await world.asked("a")

        told = json.loads(world.vendor.visits[0].bodies[0])
        assert 0 < told["max_tokens" if "max_tokens" in told else "max_completion_tokens"] < 100


async def test_candidates_judges_and_retries_of_one_run_count_together() -> None:
    judge = {
        "type": "router", "candidates": ["a", "b"],
        "strategy": {"type": "cascade", "verify": [{"type": "judge", "model": "c"}]},
    }  # fmt: skip
    async with governed(10_000 * CENT, {"team": judge}) as world:
        run = world.opened("team")
        await world.asked("team", run)

        asked = sum(len(visit.bodies) for visit in world.vendor.visits)
        assert asked >= 2
        assert run.allotment is not None
        assert run.allotment.used == {"b": asked * COST}


async def test_a_call_that_fails_gives_back_what_was_held_for_it() -> None:
    async with governed(80 * CENT, manner=refusing(500)) as world:
        run = world.opened("a")
        with pytest.raises(DirigentError):
            await world.asked("a", run)

        assert run.allotment is not None
        assert run.allotment.used == {"b": 0}


async def test_the_books_and_the_run_both_count_a_call() -> None:
    yearly = Allowance("y", "key", "k", "money", 80 * CENT, currency="USD", tenant="acme")
    async with governed(10_000 * CENT, more=(yearly,)) as world:
        run = world.opened("a")
        refused = await until_refused(world, run)

        assert refused.level == "key"
        assert run.allotment is not None
        assert run.allotment.used["b"] == world.ledger.standing(yearly).booked <= 80 * CENT
        assert world.ledger.standing(yearly).reserved == 0


async def test_a_part_of_a_run_spends_no_more_than_it_was_given_however_much_it_asks_at_once() -> None:
    async with governed(10_000 * CENT) as world:
        run = world.opened("a")
        part = run.within(Money(130 * CENT))

        async def ask(name: str) -> bool:
            try:
                await collect(part.ask(name, request("hi", name)))
            except BudgetExceeded:
                return False
            return True

        heard = await asyncio.gather(*(ask(name) for name in ("a", "b", "c") * 5))
        outside = await collect(run.ask("a", request("hi", "a")))

        assert part.allotment is not None
        assert run.allotment is not None
        assert 0 < sum(heard) < 15
        assert part.allotment.used == {"within": sum(heard) * COST}
        assert run.allotment.used == {"b": (sum(heard) + 1) * COST}
        assert outside.text == "Guten Tag"


async def test_a_part_of_a_run_that_nothing_bounds_is_bounded() -> None:
    async with provider(ANSWER) as vendor:
        world = Governed(vendor, 1, {})
        run = world.run()
        run.model = "a"

        with pytest.raises(BudgetExceeded, match="this part of the run"):
            await collect(run.within(Money(1)).ask("a", request("hi", "a")))
        assert (await collect(run.ask("a", request("hi", "a")))).text == "Guten Tag"


class Walked:
    """A run of a pipeline that asks, waits, and asks again; nothing but its journal goes from process to process."""

    def __init__(self, world: Governed) -> None:
        self.world = world
        revision = world.conductor.catalog.revision
        self.submission = Submission(run="run-1", principal=ANNA, model="p", revision=revision, body=b'"hi"')
        self.entries: list[Entry] = []

    async def append(self, more: Sequence[Entry]) -> None:
        self.entries.extend(more)

    async def walk(self) -> Ended:
        claimed = Claimed(self.submission, 1, tuple(self.entries))
        return await Durable(self.world.conductor, ()).walk(claimed, fold(self.entries), self.append)

    async def in_two_processes(self) -> Ended:
        with pytest.raises(Suspended):
            await self.walk()
        await asyncio.sleep(0.02)
        return await self.walk()


def asks_twice(second: str = "a") -> dict[str, Any]:
    steps = [
        {"type": "prompt", "name": "first", "model": "a", "prompt": "hi"},
        {"type": "wait", "name": "w", "for": 0.01},
        {"type": "prompt", "name": "second", "model": second, "prompt": "hi"},
    ]
    return {"p": {"type": "pipeline", "steps": steps}}


async def test_a_run_that_is_taken_up_by_another_process_has_what_is_left_and_no_more() -> None:
    async with governed(76 * CENT, asks_twice()) as world:
        ended = await Walked(world).in_two_processes()

        told = [json.loads(body) for visit in world.vendor.visits for body in visit.bodies]
        first, second = (each.get("max_tokens", each.get("max_completion_tokens")) for each in told)
        assert ended.status == "done"
        assert first - second == COST // 2_000_000


async def test_what_a_run_has_of_a_single_model_is_what_other_processes_left_of_it() -> None:
    once = Allowance("m", "model", "a", "requests", 1, "run", tenant="acme")
    async with governed(10_000 * CENT, asks_twice(), more=(once,)) as world:
        with pytest.raises(LimitExceeded):
            await Walked(world).in_two_processes()

        assert sum(len(visit.bodies) for visit in world.vendor.visits) == 1
    async with governed(10_000 * CENT, asks_twice("b"), more=(once,)) as world:
        assert (await Walked(world).in_two_processes()).status == "done"
