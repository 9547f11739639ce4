"""How allowances stand, for those who set them, and the release of what was only presumed to be spent."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, text

from dirigent.core.allowances import Allowance, Standing
from dirigent.store.ledger.books import window_at

__all__ = ["release", "standings"]


def standings(connection: Connection, allowances: Iterable[Allowance], now: float) -> dict[str, Standing]:
    """How each allowance stands in the window that `now`, in seconds since 1970, lies in; by the allowances' ids."""
    windows = {each.id: window_at(each, now) for each in allowances}
    if not windows:  # PostgreSQL knows of no empty list what it would be a list of
        return {}
    statement = text("""
        SELECT id, booked, leased, presumed, overrun FROM ledger_windows WHERE id IN :ids
        """).bindparams(bindparam("ids", expanding=True))
    rows = {row.id: row for row in connection.execute(statement, {"ids": [each.id for each in windows.values()]})}
    found: dict[str, Standing] = {}
    for allowance, window in windows.items():
        row = rows.get(window.id)
        booked, reserved, presumed, overrun = (
            (0, 0, 0, 0) if row is None else (row.booked, row.leased, row.presumed, row.overrun)
        )
        resets = None if window.ends is None else window.ends / 1000
        found[allowance] = Standing(booked, reserved, presumed, overrun, window.allowance.most, resets)
    return found


def release(connection: Connection, allowance: str) -> int:
    """What was presumed to be spent of an allowance, in all its windows, is free again; how much that was.

    What a provider bills for it after all counts as overrun.
    """
    locked = text("SELECT id, presumed FROM ledger_windows WHERE allowance = :allowance AND presumed > 0 ORDER BY id")
    if connection.dialect.name == "postgresql":
        locked = text(f"{locked.text} FOR UPDATE")
    rows = connection.execute(locked, {"allowance": allowance}).all()
    for row in rows:
        connection.execute(
            text("DELETE FROM ledger_leases WHERE window_id = :window AND presumed = 1"), {"window": row.id}
        )
        connection.execute(text("UPDATE ledger_windows SET presumed = 0 WHERE id = :window"), {"window": row.id})
    return sum(int(row.presumed) for row in rows)
