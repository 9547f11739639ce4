"""Money is reserved before a provider is asked, and what the call cost is booked once, however it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NoReturn

import msgspec
import pytest

from dirigent.core.allowances import Allowance, Standing
from dirigent.core.errors import BudgetExceeded, DirigentError, LimitExceeded, PriceUnknown, Unavailable
from dirigent.core.grants import Grant, Scope
from dirigent.core.run import Run
from dirigent.memory import MemoryObserver
from dirigent.memory.ledger import MemoryLedger
from tests.net.providers import Manner, Provider, provider
from tests.upstream import after, answer, chunk, frames, head, refusing, streaming, whole
from tests.world import World, request, until_it_fails

PRICE = {"input": 1000, "output": 2000}
"""A thousandth of a dollar for a token in, two for one out, so that sums can be read."""
ANSWER = whole(answer("Guten Tag", usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}))
COST = 10 * 1_000_000 + 5 * 2_000_000


class Funded(World):
    """A deployment `m` at a scripted provider, and a budget that pays for it."""

    def __init__(self, vendor: Provider, most: int, deployment: dict[str, Any], *more: Allowance) -> None:
        self.vendor = vendor
        price = {"price": PRICE, "max_output": 100, "context_window": 4000, "retries": 0}
        super().__init__(
            {"m": {"type": "deployment", "provider": "p", "name": "x", **price, **deployment}},
            {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1"}},
        )
        self.ledger = MemoryLedger(MemoryObserver())
        self.ports = msgspec.structs.replace(self.ports, ledger=self.ledger)
        self.budget = Allowance("b", "project", "sales", "money", most, currency="USD")
        self.allowances = (self.budget, *more)

    def run(self, **fields: Any) -> Run:
        run = super().run(**fields)
        run.grant = Grant(None, (Scope("everybody"),), self.allowances)
        return run

    @property
    def standing(self) -> Standing:
        return self.ledger.standing(self.budget)


@asynccontextmanager
async def funded(
    manner: Manner, most: int = 10**12, deployment: dict[str, Any] | None = None, more: tuple[Allowance, ...] = ()
) -> AsyncIterator[Funded]:
    async with provider(manner) as vendor:
        yield Funded(vendor, most, deployment or {}, *more)


def stream_of(words: int, *, usage: bool = True) -> tuple[bytes, ...]:
    said = [frames(chunk({"content": "word "})) for _ in range(words)]
    told = {"prompt_tokens": 10, "completion_tokens": words, "total_tokens": 10 + words}
    return (head(), *said, frames(chunk(finish="stop"), *([chunk(usage=told)] if usage else [])), b"data: [DONE]\n\n")


async def test_an_answer_is_booked_at_what_it_cost_and_nothing_stays_reserved() -> None:
    async with funded(ANSWER) as world:
        await world.collect("m")

        assert (world.standing.booked, world.standing.reserved) == (COST, 0)


async def test_a_spent_budget_refuses_before_any_provider_is_asked() -> None:
    async with funded(ANSWER, most=1) as world:
        with pytest.raises(BudgetExceeded) as refused:
            await world.collect("m")

        assert world.vendor.visits == []
        assert (refused.value.level, refused.value.subject) == ("project", "sales")
        assert (world.standing.booked, world.standing.reserved) == (0, 0)


async def test_what_is_left_becomes_the_bound_that_the_provider_is_told() -> None:
    async with funded(ANSWER, most=735_000_000) as world:
        await world.collect("m", request(max_output=90))

        told = json.loads(world.vendor.visits[0].bodies[0])
        bound = told.get("max_tokens") or told.get("max_completion_tokens")
        assert 0 < bound < 90
        assert world.standing.booked == COST


async def test_an_answer_that_nobody_bounds_gets_our_own_bound() -> None:
    async with funded(ANSWER, deployment={"max_output": None, "context_window": None}) as world:
        await world.collect("m")

        told = json.loads(world.vendor.visits[0].bodies[0])
        assert told.get("max_tokens") or told.get("max_completion_tokens")


async def test_a_price_that_nobody_knows_is_refused_where_a_budget_stands() -> None:
    async with funded(ANSWER, deployment={"price": None}) as world:
        with pytest.raises(PriceUnknown):
            await world.collect("m")

        assert world.vendor.visits == []


async def test_of_many_at_once_no_more_are_let_in_than_the_budget_bears() -> None:
    bound = 1_000_000 * 4000 + 2_000_000 * 100
    async with funded(after(0.05), most=3 * bound) as world:
        results = await asyncio.gather(*(world.collect("m") for _ in range(64)), return_exceptions=True)

        refused = [each for each in results if isinstance(each, BudgetExceeded)]
        assert 0 < len(refused) < 64
        assert world.standing.booked + world.standing.presumed <= 3 * bound
        assert world.standing.reserved == 0


async def test_a_provider_that_refuses_costs_nothing() -> None:
    async with funded(refusing(400, {"error": {"message": "no", "type": "invalid_request_error"}})) as world:
        with pytest.raises(DirigentError):
            await world.collect("m")

        assert (world.standing.booked, world.standing.reserved, world.standing.presumed) == (0, 0, 0)


async def test_an_answer_that_is_left_is_booked_once_and_at_no_less_than_was_heard() -> None:
    async with funded(streaming(*stream_of(40), pause=0.01)) as world:
        async with aclosing(world.answer("m", request(stream=True, max_output=90))) as events:
            async for _ in events:
                break

        await asyncio.sleep(0)
        assert 10 * 1_000_000 < world.standing.booked <= 1_000_000 * 4000 + 2_000_000 * 90
        assert world.standing.reserved == 0


async def test_a_stream_of_which_more_has_come_than_was_heard_is_presumed_when_it_is_left() -> None:
    words = {"max_output": 3000}
    async with funded(streaming(*stream_of(2500)), deployment=words) as world:
        async with aclosing(world.answer("m", request(stream=True, max_output=3000))) as events:
            async for _ in events:
                await asyncio.sleep(0.2)  # somebody who reads slowly, while the provider writes on
                break

        assert world.standing.booked + world.standing.presumed >= 10 * 1_000_000 + 2500 * 2_000_000
        assert world.standing.reserved == 0


async def test_a_stream_that_breaks_off_is_booked_and_leaves_nothing_reserved() -> None:
    async with funded(streaming(*stream_of(3)[:3], cut=True)) as world:
        _, error = await until_it_fails(world.answer("m", request(stream=True)))

        assert error.fallback
        assert world.standing.booked > 0
        assert world.standing.reserved == 0


async def test_an_answer_without_usage_is_booked_at_no_less_than_it_can_have_cost() -> None:
    words = "a b c d e f g h i j k l m n o p"
    async with funded(whole(answer(words, usage=None))) as world:
        await world.collect("m", request(max_output=90))

        assert world.standing.booked >= len(words) * 2_000_000
        assert (world.standing.presumed, world.standing.reserved) == (0, 0)


async def test_a_whole_answer_that_is_left_is_presumed_to_be_spent() -> None:
    async with funded(after(60)) as world:
        asking = asyncio.create_task(world.collect("m", request(max_output=90)))
        await world.vendor.asked()
        asking.cancel()
        await asyncio.wait({asking})

        assert world.standing.presumed >= 90 * 2_000_000
        assert (world.standing.booked, world.standing.reserved) == (0, 0)


async def test_an_answer_that_breaks_off_before_a_word_is_presumed_to_be_spent() -> None:
    async with funded(streaming(frames(chunk({"content": "half"}))[:-9], cut=True)) as world:
        with pytest.raises(DirigentError):
            await world.collect("m", request(max_output=90))

        assert world.standing.presumed >= 90 * 2_000_000
        assert (world.standing.booked, world.standing.reserved) == (0, 0)


async def test_a_provider_that_cannot_be_reached_costs_nothing() -> None:
    async with funded(ANSWER) as world:
        pass  # it has stopped to listen

    with pytest.raises(DirigentError):
        await world.collect("m", request(max_output=90))

    assert (world.standing.booked, world.standing.presumed, world.standing.reserved) == (0, 0, 0)


async def test_a_deployment_does_not_rest_because_this_node_cannot_keep_its_books() -> None:
    class Away(MemoryLedger):
        def at_once(self, *_: object) -> None:
            return None

        async def reserve(self, *_: object) -> NoReturn:
            raise Unavailable("the database does not answer")

    async with funded(ANSWER) as world:
        books = world.ports
        world.ports = msgspec.structs.replace(books, ledger=Away(MemoryObserver()))
        for _ in range(5):
            with pytest.raises(Unavailable, match="does not answer"):
                await world.collect("m")
        world.ports = books
        await world.collect("m")

        assert world.standing.booked == COST


async def test_what_a_model_thinks_in_silence_is_presumed_where_its_answer_is_left() -> None:
    thinking = {"capabilities": ["reasoning"]}
    async with funded(streaming(*stream_of(40), pause=0.01), deployment=thinking) as world:
        async with aclosing(world.answer("m", request(stream=True, max_output=90))) as events:
            async for _ in events:
                break

        assert world.standing.presumed >= 90 * 2_000_000
        assert world.standing.reserved == 0


async def test_a_limit_of_calls_at_once_is_given_back_when_they_end() -> None:
    calls = Allowance("c", "key", "k", "calls", 1)
    async with funded(ANSWER, more=(calls,)) as world:
        await world.collect("m")
        await world.collect("m")

        assert world.ledger.standing(calls).booked == 0


async def test_a_limit_of_requests_refuses_with_the_time_after_which_asking_makes_sense() -> None:
    requests = Allowance("r", "key", "k", "requests", 1, window="minute")
    async with funded(ANSWER, more=(requests,)) as world:
        await world.collect("m")
        with pytest.raises(LimitExceeded) as refused:
            await world.collect("m")

        assert 0 < (refused.value.retry_after or 0) <= 60
        assert world.standing.booked == COST


async def test_where_a_budget_is_nearly_spent_a_router_puts_the_cheaper_candidate_first() -> None:
    async with funded(ANSWER, most=COST * 100) as world:
        small = {"type": "deployment", "provider": "p", "name": "small", "price": {"input": 1, "output": 1}}
        models = {"m": {**small, "name": "x", "price": PRICE}, "s": small}
        router = {"type": "router", "candidates": ["m", "s"]}
        document = {
            "providers": {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{world.vendor.origin.port}/v1"}}
        }
        world.catalog = world.published(document | {"models": {**models, "r": router}})
        rich = world.run()
        await world.collect("r", request(max_output=10), rich)
        world.allowances = (msgspec.structs.replace(world.budget, most=COST * 100, thrift=1),)
        poor = world.run()
        await world.collect("r", request(max_output=10), poor)

        assert rich.record.deployment == "m"
        assert poor.record.deployment == "s"
        assert "cheaper ones go first" in (poor.record.route or "")
