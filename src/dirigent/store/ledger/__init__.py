"""Budgets and limits that many workers share, and that can never be overspent: the port `Ledger` over a database."""

from dirigent.store.ledger.leased import LeasedLedger
from dirigent.store.ledger.standing import release, standings

__all__ = ["LeasedLedger", "release", "standings"]
