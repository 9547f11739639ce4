"""Duties: what one worker of all nodes does for everybody, until another one has to take it over."""

from __future__ import annotations

from sqlalchemy import Connection, text

from dirigent.store.nodes import moment

__all__ = ["give_up", "has", "take"]


def take(connection: Connection, duty: str, holder: str, life: int) -> bool:
    """Whether the holder has the duty for the next `life` milliseconds: because it had it, or nobody else has."""
    now = moment(connection)
    return (
        connection.execute(
            text("""
                INSERT INTO duties (name, holder, until) VALUES (:name, :holder, :until)
                ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
                WHERE duties.holder = excluded.holder OR duties.until <= :now"""),
            {"name": duty, "holder": holder, "until": now + life, "now": now},
        ).rowcount
        == 1
    )


def has(connection: Connection, duty: str, holder: str) -> bool:
    """Whether the holder has the duty now; until this transaction ends nobody else gets it on a shared database."""
    row = connection.execute(_HOLDER[connection.dialect.name], {"name": duty}).one_or_none()
    return row is not None and row.holder == holder and row.until > moment(connection)


_HOLDER = {
    "sqlite": text("""SELECT holder, until FROM duties WHERE name = :name"""),
    "postgresql": text("""SELECT holder, until FROM duties WHERE name = :name FOR UPDATE"""),
}


def give_up(connection: Connection, duty: str, holder: str) -> None:
    """Lets the next one have the duty at once."""
    connection.execute(
        text("""DELETE FROM duties WHERE name = :name AND holder = :holder"""), {"name": duty, "holder": holder}
    )
