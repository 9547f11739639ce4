"""Which nodes are there, and which publication each of their workers serves."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

__all__ = ["ALIVE", "Post", "lagging", "leave", "moment", "posts", "report"]

ALIVE = 5_000
"""Milliseconds after its last word during which a worker counts as one that serves."""
_FORGOTTEN = 86_400_000


class Post(msgspec.Struct, frozen=True):
    """One worker of a node, and what it serves."""

    node: str
    worker: str
    number: int
    """The number of the publication that it has taken over."""
    revision: str
    seen: int


def report(connection: Connection, tenant: str, node: str, worker: str, *, number: int, revision: str) -> None:
    """Notes that a worker is there and what it serves: when it has taken something over, and every two seconds."""
    connection.execute(
        text("""
            INSERT INTO nodes (tenant, node, worker, number, revision, seen)
            VALUES (:tenant, :node, :worker, :number, :revision, :seen)
            ON CONFLICT (tenant, node, worker) DO UPDATE
            SET number = excluded.number, revision = excluded.revision, seen = excluded.seen"""),
        {
            "tenant": tenant,
            "node": node,
            "worker": worker,
            "number": number,
            "revision": revision,
            "seen": moment(connection),
        },
    )


def leave(connection: Connection, tenant: str, node: str, worker: str) -> None:
    """Forgets a worker that ends in order, and those of whom nobody has heard for a day."""
    connection.execute(
        text("""
            DELETE FROM nodes
            WHERE tenant = :tenant AND (node = :node AND worker = :worker OR seen < :long_ago)"""),
        {"tenant": tenant, "node": node, "worker": worker, "long_ago": moment(connection) - _FORGOTTEN},
    )


def posts(connection: Connection, tenant: str) -> Sequence[Post]:
    """The workers that are there now."""
    rows = connection.execute(
        text("""
            SELECT node, worker, number, revision, seen FROM nodes
            WHERE tenant = :tenant AND seen > :since ORDER BY node, worker"""),
        {"tenant": tenant, "since": moment(connection) - ALIVE},
    )
    return [_post(row) for row in rows]


def lagging(connection: Connection, tenant: str, number: int) -> Sequence[Post]:
    """The workers that are there and have not taken over this publication or a later one."""
    return [post for post in posts(connection, tenant) if post.number < number]


def moment(connection: Connection) -> int:
    """The time by the one clock that all nodes share: the server's, or that of the machine with the file."""
    if connection.dialect.name == "sqlite":
        return int(time() * 1000)
    seconds = connection.execute(text("""SELECT extract(epoch FROM clock_timestamp())""")).scalar()
    return int((seconds or 0) * 1000)


def _post(row: Row[Any]) -> Post:
    return Post(row.node, row.worker, row.number, row.revision, row.seen)
