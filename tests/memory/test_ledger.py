"""The ledger in memory keeps what every ledger promises."""

from __future__ import annotations

import pytest

from dirigent.core.allowances import Allowance, Standing
from dirigent.memory.ledger import MemoryLedger
from tests.ledgers import Books, LedgerContract, budget, euro_rates


class MemoryBooks(Books):
    def __init__(self) -> None:
        super().__init__()
        self.ledger: MemoryLedger = MemoryLedger(self.told, rates=euro_rates, clock=self.clock)

    async def standing(self, allowance: Allowance) -> Standing:
        return self.ledger.standing(allowance)


@pytest.fixture
def books() -> MemoryBooks:
    return MemoryBooks()


class TestMemoryLedger(LedgerContract):
    """All of it."""


async def test_what_is_on_hold_is_reserved(books: MemoryBooks) -> None:
    allowance = budget(100)

    await books.hold(allowance, nano=70)

    assert books.ledger.standing(allowance) == Standing(0, 70, 0, 0, 100, None)
