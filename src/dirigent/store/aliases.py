"""Aliases as they stand: which names point at which revisions of which models."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, text

from dirigent.core.aliases import Alias, Share
from dirigent.store.pulse import bump

__all__ = ["aliases", "drop_alias", "point"]


def aliases(connection: Connection, tenant: str) -> Sequence[Alias]:
    """All aliases by name."""
    rows = connection.execute(
        text("""SELECT name, model, shares FROM aliases WHERE tenant = :tenant ORDER BY name"""), {"tenant": tenant}
    )
    return [Alias(row.name, row.model, msgspec.json.decode(row.shares, type=tuple[Share, ...])) for row in rows]


def point(connection: Connection, tenant: str, alias: Alias, *, author: str, now: int) -> None:
    """Lets a name point as it says, from now on and at every node."""
    connection.execute(
        text("""
            INSERT INTO aliases (tenant, name, model, shares, author, at)
            VALUES (:tenant, :name, :model, :shares, :author, :at)
            ON CONFLICT (tenant, name) DO UPDATE
            SET model = excluded.model, shares = excluded.shares, author = excluded.author, at = excluded.at"""),
        {
            "tenant": tenant,
            "name": alias.name,
            "model": alias.model,
            "shares": msgspec.json.encode(alias.shares).decode(),
            "author": author,
            "at": now,
        },
    )
    bump(connection, "catalog")


def drop_alias(connection: Connection, tenant: str, name: str) -> bool:
    """Removes a name; False where it was none."""
    gone = connection.execute(
        text("""DELETE FROM aliases WHERE tenant = :tenant AND name = :name RETURNING name"""),
        {"tenant": tenant, "name": name},
    ).scalar()
    if gone is not None:
        bump(connection, "catalog")
    return gone is not None
