"""Brings a database to the schema of this version, step by step, and back again.

Each step leaves behind, in the database itself, how it is undone. So a version of Dirigent that is older than the
database's schema goes back to its own schema without a file of the newer version.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from dirigent import __version__
from dirigent.core.errors import DirigentError
from dirigent.store.database import Database
from dirigent.store.founding import ALONE
from dirigent.store.schema import metadata

__all__ = ["STEPS", "SchemaTooNew", "configuration", "migrate", "revision_of"]

STEPS = Path(__file__).parent / "versions"
"""The folder of this version's steps."""
_log = logging.getLogger("dirigent.store")


class SchemaTooNew(DirigentError):
    """The database was brought to its schema by a newer version, and cannot be taken back now; the message says why."""

    code = "schema_too_new"


def configuration(connection: Connection, steps: Path = STEPS) -> Config:
    """What the migration tool needs to work on this connection."""
    config = Config()
    config.set_main_option("script_location", _escaped(Path(__file__).parent))
    config.set_main_option("version_locations", _escaped(steps))
    config.set_main_option("path_separator", "newline")  # a folder may have a space in its name, or a colon
    config.attributes["connection"] = connection
    return config


def migrate(database: Database, to: str = "head", *, steps: Path = STEPS) -> None:
    """Brings the database to a revision of the schema; every node may call it, and one of them does the work.

    A schema that a newer version has made is taken back to the newest one that this version knows. Raises SchemaTooNew
    where that cannot be; then nothing has changed.
    """

    def work(connection: Connection) -> None:
        if not database.lite:
            connection.execute(ALONE)
        config = configuration(connection, steps)
        scripts = ScriptDirectory.from_config(config)
        known = {script.revision for script in scripts.walk_revisions()}
        present = _present(connection)
        if present is not None and present not in known:
            present = _go_back(connection, present, known)
        if to != "head" and present is not None and to < present:
            command.downgrade(config, to)
        else:
            command.upgrade(config, to)
        _remember_the_way_back(connection, scripts)

    database.write(work)


def revision_of(database: Database) -> str | None:
    """The revision of the schema; None of an empty database."""
    return database.read(_present)


def _remember_the_way_back(connection: Connection, scripts: ScriptDirectory) -> None:
    """Keeps the statements that undo each step that has been made, and forgets those of steps that were undone."""
    present = _present(connection)
    made = [] if present is None else list(scripts.iterate_revisions(present, "base"))
    if not made:
        return
    kept = set(connection.execute(text("SELECT revision FROM downgrades")).scalars())
    for undone in kept - {script.revision for script in made}:
        connection.execute(text("DELETE FROM downgrades WHERE revision = :revision"), {"revision": undone})
    for script in made:
        if script.revision not in kept:
            connection.execute(
                text("""
                    INSERT INTO downgrades (revision, before, statements)
                    VALUES (:revision, :before, :statements)"""),
                {
                    "revision": script.revision,
                    "before": script.down_revision,
                    "statements": msgspec.json.encode(_undoing(connection, script.module)).decode(),
                },
            )


class _Statements(list[str]):
    """Takes each statement that the migration tool writes instead of carrying it out."""

    def write(self, statement: str) -> None:
        self.append(statement.strip().removesuffix(";"))

    def flush(self) -> None:
        """Nothing waits to be written."""


def _undoing(connection: Connection, step: Any) -> Sequence[str]:
    """What a step's downgrade does, in SQL for this database. It may look at nothing: it is written down, not done."""
    statements = _Statements()
    context = MigrationContext.configure(
        dialect=connection.dialect,
        opts={"as_sql": True, "output_buffer": statements, "literal_binds": True, "target_metadata": metadata},
    )
    with Operations.context(context):
        step.downgrade()
    return statements


def _go_back(connection: Connection, present: str, known: set[str]) -> str:
    """Undoes what newer versions did, by what they left behind; gives the revision at which this version is at home."""
    if others := _other_versions(connection):
        raise SchemaTooNew(
            f"the database has the schema {present} of a newer version of Dirigent, which is at work on it now"
            f" ({', '.join(others)}): stop it first, or start that version here as well"
        )
    while present not in known:
        row = connection.execute(
            text("SELECT before, statements FROM downgrades WHERE revision = :revision"), {"revision": present}
        ).one_or_none()
        if row is None or row.before is None:
            raise SchemaTooNew(
                f"the database has the schema {present}, which Dirigent {__version__} does not know, and holds no way"
                " back from it: start the version that made it, or restore a backup"
            )
        _log.warning(
            "the database has the schema %s of a newer version; Dirigent %s takes it back to %s, and what only the"
            " newer version keeps is lost", present, __version__, row.before,
        )  # fmt: skip
        for statement in msgspec.json.decode(row.statements, type=list[str]):
            connection.exec_driver_sql(statement)
        connection.execute(text("DELETE FROM downgrades WHERE revision = :revision"), {"revision": present})
        connection.execute(text("UPDATE alembic_version SET version_num = :before"), {"before": row.before})
        present = row.before
    return present


def _other_versions(connection: Connection) -> Sequence[str]:
    """Other versions of Dirigent that are connected; of the embedded database there is one node, and one version."""
    if connection.dialect.name == "sqlite":
        return ()
    return connection.execute(
        text("""
            SELECT DISTINCT application_name FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'dirigent %'
              AND application_name <> :own
            ORDER BY application_name"""),
        {"own": f"dirigent {__version__}"},
    ).scalars().all()  # fmt: skip


def _present(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")  # a percent sign is the tool's own mark
