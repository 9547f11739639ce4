"""A worker of the storm: reserves, calls a provider that remembers what it gave, settles, and may be killed at once.

`python -m tests.proofs.spender URL FOLDER ORDER`; ORDER is JSON. Each call that a provider was asked for is a line of
ten digits in the worker's own file, written before it is settled: so what was truly spent is known after a kill too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from pathlib import Path

import msgspec

from dirigent.core.allowances import Allowance, Charge
from dirigent.core.errors import BudgetExceeded, LimitExceeded, Unavailable
from dirigent.core.usage import Money
from dirigent.memory import MemoryObserver
from dirigent.store import Database
from dirigent.store.ledger import LeasedLedger

__all__ = ["Order", "allowances_of"]


class Order(msgspec.Struct, frozen=True):
    """What a worker shall do."""

    seed: int
    calls: int
    """How many reservations it tries."""
    at_once: int
    most: int
    """Nano-units of each budget."""
    held: int = 1000
    """The upper bound of a call."""
    even: bool = False
    """Whether each call costs exactly half of its bound, and none is cut: then what is needed in all is known."""


def allowances_of(order: Order) -> list[tuple[Allowance, ...]]:
    """Five levels each; the tenant's budget is under all of them."""
    tenant = Allowance("tenant", "tenant", "t", "money", order.most, "month", "Europe/Berlin", "USD")
    found: list[tuple[Allowance, ...]] = []
    for number in range(4):
        project = Allowance(f"project-{number}", "project", str(number), "money", order.most, currency="USD")
        tokens = Allowance(f"tokens-{number}", "project", str(number), "tokens", order.most, "day")
        calls = Allowance(f"calls-{number}", "key", str(number), "calls", order.at_once * 2)
        requests = Allowance(f"requests-{number}", "key", str(number), "requests", 10**9, "hour")
        found.append((tenant, project, tokens, calls, requests))
    return found


class Spender:
    """Counts what comes of its calls."""

    def __init__(self, ledger: LeasedLedger, order: Order, folder: Path) -> None:
        self.ledger = ledger
        self.order = order
        self.chance = random.Random(order.seed)
        self.counts = {"made": 0, "refused": 0, "unavailable": 0}
        self.left = order.calls
        self.bills = os.open(folder / f"{order.seed}.bills", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.levels = allowances_of(order)

    async def caller(self) -> None:
        """One call after the other."""
        order = self.order
        bound = Charge(Money(order.held), order.held)
        while self.left > 0:
            self.left -= 1
            levels = self.chance.choice(self.levels)
            hold = self.ledger.at_once("r", levels, bound)
            if hold is None:
                try:
                    found = await self.ledger.reserve("r", levels, bound, bound, 30.0)
                except (BudgetExceeded, LimitExceeded):
                    self.counts["refused"] += 1
                    continue
                except Unavailable:
                    self.counts["unavailable"] += 1
                    await asyncio.sleep(0.05)
                    continue
            else:
                found = hold
            self.counts["made"] += 1
            cost = order.held // 2 if order.even else self.chance.randrange(1, order.held + 1)
            os.write(self.bills, b"%010d" % cost)
            await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.003]))
            cut = not order.even and self.chance.random() < 0.02
            self.ledger.settle(found, None if cut else Charge(Money(cost), cost))
            if self.chance.random() < 0.02:
                self.ledger.settle(found, Charge(Money(cost), cost))


async def main(url: str, folder: Path, order: Order) -> None:
    """Works until all calls are made, and prints what came of them."""
    database = Database.at(url)
    ledger = LeasedLedger(database, folder / "ledger", MemoryObserver(10), node=f"n{order.seed}")
    await ledger.start()
    spender = Spender(ledger, order, folder)
    await asyncio.gather(*(spender.caller() for _ in range(order.at_once)))
    await ledger.close()
    database.close()
    print(msgspec.json.encode(spender.counts).decode(), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), msgspec.json.decode(sys.argv[3], type=Order)))
