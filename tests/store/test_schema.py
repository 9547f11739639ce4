"""The migrations make what the tables describe, as does the founding of a new database; each step can be undone."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from dirigent.store import Database
from dirigent.store.founding import WRITTEN, founded
from dirigent.store.migrations import migrate, revision_of
from dirigent.store.schema import metadata
from dirigent.store.upgrade import HEAD
from tools.schema import written


def test_the_migrations_make_exactly_what_the_tables_describe(empty: Database) -> None:
    migrate(empty)

    assert empty.read(differences) == []


def test_a_new_database_is_founded_with_what_the_steps_would_have_made(empty: Database) -> None:
    made = founded(empty, HEAD)

    assert made
    assert empty.read(differences) == []
    assert revision_of(empty) == HEAD


def test_how_a_new_database_is_founded_is_written_down_anew_after_each_step(empty: Database) -> None:
    stands = WRITTEN["sqlite" if empty.lite else "postgresql"].read_text(encoding="utf-8")

    assert written(empty) == stands, "a step was added or changed: run `make schema`"


def test_only_an_empty_database_is_founded_and_only_with_the_present_steps(empty: Database) -> None:
    assert not founded(empty, "9000_to_come")
    assert revision_of(empty) is None
    empty.write(lambda connection: connection.execute(text("CREATE TABLE theirs (id integer)")))

    assert not founded(empty, HEAD)

    assert empty.read(lambda connection: inspect(connection).get_table_names()) == ["theirs"]


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


@pytest.fixture
def empty(url: str) -> Iterator[Database]:
    """A database in which nothing is yet."""
    found = Database.at(url)
    yield found
    found.close()


def differences(connection: Connection) -> list[object]:
    """What stands otherwise in the database than the tables describe it."""
    return list(compare_metadata(MigrationContext.configure(connection), metadata))
