"""The migrations make what the tables describe, and each of their steps can be undone."""

from __future__ import annotations

import msgspec
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from dirigent.store import Database
from dirigent.store.migrations import migrate, revision_of
from dirigent.store.schema import metadata


def test_the_migrations_make_exactly_what_the_tables_describe(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert database.read(differences) == []


def test_a_database_of_the_present_schema_is_left_alone(database: Database) -> None:
    before = revision_of(database)

    migrate(database)

    assert before is not None
    assert revision_of(database) == before


def test_what_each_step_leaves_behind_undoes_it_down_to_an_empty_database(database: Database) -> None:
    def undo_everything(connection: Connection) -> list[str]:
        rows = connection.execute(text("SELECT revision, before, statements FROM downgrades")).all()
        steps = {row.revision: row for row in rows}
        present = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        while present is not None:
            for statement in msgspec.json.decode(steps[present].statements, type=list[str]):
                connection.exec_driver_sql(statement)
            present = steps[present].before
        return inspect(connection).get_table_names()

    left = database.write(undo_everything)

    assert left == ["alembic_version"]
