"""Makes sure of the present schema, without loading what changes schemas where there is nothing to change.

The tool for migrations is large, and a node whose database is new or up to date never needs it: so it works in a
process of its own, which ends when the schema stands.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from dirigent.core.errors import DirigentError
from dirigent.store.database import Database
from dirigent.store.founding import founded

__all__ = ["HEAD", "upgrade"]

HEAD = max(step.stem for step in (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py"))
"""The newest step of this version; steps follow one another by their numbers."""


def upgrade(database: Database) -> None:
    """Brings the database to the schema of this version. Raises DirigentError in the words of what went wrong."""
    if database.read(_present) == HEAD or founded(database, HEAD):
        return
    address = database.engine.url.render_as_string(hide_password=False)
    done = subprocess.run(  # the address may hold a password: it goes where no list of processes shows it
        [sys.executable, "-m", "dirigent.store.migrations"], input=address, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise DirigentError(f"the schema of the database could not be made: {words[-1] if words else 'no word why'}")
    for line in done.stderr.splitlines():
        sys.stderr.write(f"{line}\n")


def _present(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
