"""Founds a new database at once: with the statements that the steps of its schema would carry out one after the other.

The tool for migrations is large, and a new database needs nothing of what it can do. So `make schema` writes down, for
each kind of database, what the steps make of an empty one; a test holds what is written against the steps.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from dirigent.store.database import Database

__all__ = ["ALONE", "WRITTEN", "founded"]

WRITTEN = {name: Path(__file__).parent / "schema" / f"{name}.sql" for name in ("sqlite", "postgresql")}
"""Where the statements stand: the newest step in the first line, and each statement closed by a semicolon."""
ALONE = text("SELECT pg_advisory_xact_lock(4812193)")
"""Whoever changes the schema of a PostgreSQL says this first: nodes that begin at once do so one after the other."""


def founded(database: Database, step: str) -> bool:
    """Whether an empty database has got the schema that `step` is the newest step of.

    A database with tables in it is left alone, and so is every one where the statements are not those of this step.
    """
    head, *statements = WRITTEN["sqlite" if database.lite else "postgresql"].read_text(encoding="utf-8").split(";\n\n")
    if head.splitlines()[0] != f"-- {step}":
        return False

    def work(connection: Connection) -> bool:
        if not database.lite:
            connection.execute(ALONE)
        if inspect(connection).get_table_names():
            return False  # somebody was here before
        for statement in statements:
            connection.exec_driver_sql(statement.removesuffix(";\n"))
        return True

    return database.write(work)
