"""An upgrade of Dirigent goes back by itself: an older version takes a newer schema back to its own."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from dirigent.store import Database, upgrade
from dirigent.store.beginning import bootstrap
from dirigent.store.keys import digest, keys
from dirigent.store.migrations import STEPS, SchemaTooNew, migrate, revision_of
from tests.store.ground import NOW

NEWER = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.create_table("{table}", sa.Column("id", sa.Text, primary_key=True))
    op.add_column("tenants", sa.Column("{table}_of", sa.Text))
    op.execute("UPDATE tenants SET title = title || ' 100% {table}'")


def downgrade() -> None:
    op.execute("UPDATE tenants SET title = replace(title, ' 100% {table}', '') WHERE title LIKE '%0% {table}'")
    op.drop_column("tenants", "{table}_of")
    op.drop_table("{table}")
"""


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The steps of a version to come: those of this one, and two more; in a folder with an awkward name."""
    folder = tmp_path / "steps of 100% to come"
    shutil.copytree(STEPS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    last = max(path.stem for path in folder.glob("*.py"))
    for revision, before, table in (("9001_whims", last, "whims"), ("9002_wishes", "9001_whims", "wishes")):
        (folder / f"{revision}.py").write_text(NEWER.format(revision=revision, before=before, table=table))
    return folder


def test_an_older_version_takes_a_newer_schema_back_to_its_own(
    database: Database, newer: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = revision_of(database)
    database.write(make_a_tenant)
    migrate(database, steps=newer)
    assert revision_of(database) == "9002_wishes"
    assert titles(database) == ["Acme 100% whims 100% wishes"]

    with caplog.at_level(logging.WARNING):
        migrate(database)

    assert revision_of(database) == home
    assert titles(database) == ["Acme"]
    assert {"whims", "wishes"}.isdisjoint(database.read(lambda found: inspect(found).get_table_names()))
    told = [record.getMessage() for record in caplog.records if record.name == "dirigent.store"]
    assert [words.split()[5] for words in told] == ["9002_wishes", "9001_whims"]


def test_there_and_back_can_be_done_again(database: Database, newer: Path) -> None:
    home = revision_of(database)

    for _ in range(2):
        migrate(database, steps=newer)
        migrate(database)

    assert revision_of(database) == home


def test_a_newer_version_undoes_its_own_steps_by_its_own_files(database: Database, newer: Path) -> None:
    home = revision_of(database)
    migrate(database, steps=newer)

    migrate(database, home or "", steps=newer)

    assert revision_of(database) == home
    assert (
        database.read(
            lambda found: found.execute(text("SELECT count(*) FROM downgrades WHERE revision LIKE '9%'")).scalar()
        )
        == 0
    )


def test_a_schema_without_a_way_back_is_left_alone(database: Database, newer: Path) -> None:
    migrate(database, steps=newer)
    database.write(lambda found: found.execute(text("DELETE FROM downgrades WHERE revision = '9001_whims'")))

    with pytest.raises(SchemaTooNew, match="9001_whims"):
        migrate(database)

    assert revision_of(database) == "9002_wishes"


def test_a_shared_database_is_not_taken_back_while_a_newer_version_works_on_it(
    database: Database, url: str, newer: Path
) -> None:
    if database.lite:
        return  # of the embedded one there is one node
    home = revision_of(database)
    migrate(database, steps=newer)
    other = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), connect_args={"application_name": "dirigent 99.0"}
    )

    with other.connect(), pytest.raises(SchemaTooNew, match=r"dirigent 99\.0"):
        migrate(database)
    other.dispose()
    migrate(database)

    assert revision_of(database) == home


def test_nodes_that_begin_at_once_on_an_empty_database_each_find_it_whole(url: str) -> None:
    def begin(number: int) -> str | None:
        node = Database.at(url)
        (migrate if number % 2 else upgrade)(node)
        node.write(lambda found: bootstrap(found, digest(f"dk-{number}"), NOW))
        revision = revision_of(node)
        node.close()
        return revision

    with ThreadPoolExecutor(6) as pool:
        revisions = set(pool.map(begin, range(6)))

    database = Database.at(url)
    assert revisions == {revision_of(database)}
    assert len(database.read(lambda found: keys(found, "default"))) == 6
    database.close()


def make_a_tenant(connection: Connection) -> None:
    connection.execute(
        text("""
            INSERT INTO tenants (name, title, zone, currency, models, denied, created, changed)
            VALUES ('acme', 'Acme', 'UTC', 'EUR', '[]', '[]', 0, 0)""")
    )


def titles(database: Database) -> list[str]:
    return list(database.read(lambda found: found.execute(text("SELECT title FROM tenants")).scalars().all()))
