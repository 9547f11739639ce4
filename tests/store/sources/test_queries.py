"""Queries read and never write: what each database gives, what each refuses, and when it is broken off."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from dirigent.core.errors import DirigentError, Invalid, TimedOut, Unavailable
from dirigent.core.tables import Bounds, QueryFailed, TableSource
from dirigent.store.sources import Sources
from dirigent.store.sources.sources import below

MAKE = (
    "CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric(12, 2), placed date)",
    "CREATE TABLE salaries (name text, pay integer)",
    "CREATE VIEW best AS SELECT * FROM orders WHERE total > 50",
    "INSERT INTO orders VALUES (1, 'Müller', 19.90, '2026-01-02'), (2, 'O''Neil', 120.00, '2026-02-03')",
    "INSERT INTO salaries VALUES ('Erika', 90000)",
)
CSV = "id,customer,total,placed\n1,Müller,19.90,2026-01-02\n2,O'Neil,120.00,2026-02-03\n"


@pytest.fixture(params=["sqlite", "postgresql", "files"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TableSource]:
    """The same table three times: in a SQLite file, in a PostgreSQL, in a CSV file."""
    if request.param == "files":
        folder = tmp_path / "orders"
        folder.mkdir()
        (folder / "Orders.csv").write_text(CSV, encoding="utf-8")
        yield TableSource("shop", "files", "orders")
        return
    if request.param == "sqlite":
        with sqlite3.connect(tmp_path / "shop.db") as made:
            for statement in MAKE:
                made.execute(statement)
        made.close()
        yield TableSource("shop", "sqlite", "shop.db")
        return
    url: str = request.getfixturevalue("fresh_postgres")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in MAKE:
            connection.execute(text(statement))
    engine.dispose()
    yield TableSource("shop", "postgresql", url)


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    opened = Sources(tmp_path)
    yield opened
    opened.close()


async def test_rows_are_plain_data_with_exact_numbers_and_iso_dates(sources: Sources, source: TableSource) -> None:
    sql = "SELECT id, customer, total AS amount, placed FROM orders WHERE customer = :who -- by name"

    found = await sources.query(source, sql, {"who": "O'Neil"}, Bounds())

    assert found.columns == ("id", "customer", "amount", "placed")
    row = dict(found.rows[0])
    assert (row.pop("amount"), type(row["id"])) == (Decimal(120), int)
    assert row == {"id": 2, "customer": "O'Neil", "placed": "2026-02-03"}
    assert not found.more


async def test_a_parameter_is_bound_and_never_becomes_part_of_the_text(sources: Sources, source: TableSource) -> None:
    evil = "x' OR '1'='1"

    found = await sources.query(source, "SELECT id FROM orders WHERE customer = :who", {"who": evil}, Bounds())

    assert found.rows == ()


async def test_what_lies_beyond_the_rows_is_left_out_and_said_so(sources: Sources, source: TableSource) -> None:
    found = await sources.query(source, "SELECT id FROM orders ORDER BY id", {}, Bounds(rows=1))

    assert [row["id"] for row in found.rows] == [1]
    assert found.more


async def test_too_many_bytes_are_refused(sources: Sources, source: TableSource) -> None:
    sql = f"SELECT '{'x' * 2000}' AS wide"

    with pytest.raises(QueryFailed, match="more than 1000 bytes"):
        await sources.query(source, sql, {}, Bounds(bytes=1000))


async def test_two_columns_of_one_name_are_refused_by_name(sources: Sources, source: TableSource) -> None:
    with pytest.raises(QueryFailed, match="'id'"):
        await sources.query(source, "SELECT a.id, b.id FROM orders a, orders b", {}, Bounds())


async def test_a_query_that_does_not_end_is_broken_off(sources: Sources, source: TableSource) -> None:
    sql = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000)"
        " SELECT count(*) AS n FROM n"
    )

    with pytest.raises(TimedOut):
        await sources.query(source, sql, {}, Bounds(seconds=0.2))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (id) VALUES (9)",
        "SELECT 1; DELETE FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "SELECT * INTO copied FROM orders",
        "DROP TABLE orders",
        "PRAGMA writable_schema = 1",
        "SELECT 1 /* /* */ ; DROP TABLE orders -- */",
        "ATTACH 'x.db' AS x",
        "COPY orders TO '/tmp/x'",
        "SELECT load_extension('x')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv_auto('/etc/passwd')",
        "SELECT $$ $$; DROP TABLE orders; SELECT $$ $$",
        "SELECT E'\\'; DROP TABLE orders; --'",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "BEGIN",
        "",
        ";",
        "SELECT 'a",
        "SELECT \"pg_read_file\"('/etc/passwd')",
    ],
)
async def test_what_is_no_single_query_never_reaches_the_database(
    sources: Sources, source: TableSource, sql: str
) -> None:
    with pytest.raises(Invalid):
        await sources.query(source, sql, {}, Bounds())


async def test_a_missing_parameter_is_named(sources: Sources, source: TableSource) -> None:
    with pytest.raises(Invalid, match="'who'"):
        await sources.query(source, "SELECT id FROM orders WHERE customer = :who", {}, Bounds())


async def test_a_table_that_is_not_permitted_is_not_read(sources: Sources, source: TableSource) -> None:
    closed = TableSource(source.name, source.kind, source.address, ("orders",))

    assert (await sources.query(closed, "SELECT id FROM orders", {}, Bounds())).rows
    with pytest.raises(DirigentError) as refused:
        await sources.query(closed, "SELECT pay FROM salaries", {}, Bounds())
    with pytest.raises(DirigentError):
        await sources.query(closed, "SELECT (SELECT max(pay) FROM salaries) AS p FROM orders", {}, Bounds())

    assert refused.value.code == "query_failed"


@pytest.mark.parametrize("source", ["sqlite", "postgresql"], indirect=True)
async def test_even_a_statement_past_the_reader_can_write_nothing(
    sources: Sources, source: TableSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dirigent.store.sources.sources.read_select", Unread)

    for sql in ("DELETE FROM orders", "CREATE TABLE x (a int)", "INSERT INTO salaries VALUES ('x', 1)"):
        with pytest.raises(QueryFailed):
            await sources.query(source, sql, {}, Bounds())

    monkeypatch.undo()
    left = await sources.query(source, "SELECT count(*) AS n FROM orders", {}, Bounds())
    assert left.rows == ({"n": 2},)


class Unread:
    """A statement that nobody has read before it goes to the database."""

    names: frozenset[str] = frozenset()

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def written(self, *_: object) -> str:
        return self._sql


@pytest.mark.parametrize("source", ["files"], indirect=True)
@pytest.mark.parametrize("named", ["'/etc/passwd'", '"/etc/passwd"', "'{folder}/secret.csv'"])
async def test_files_beside_the_folder_are_out_of_reach(
    sources: Sources, source: TableSource, tmp_path: Path, named: str
) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")

    with pytest.raises(QueryFailed):
        await sources.query(source, "SELECT * FROM {}".format(named.format(folder=tmp_path)), {}, Bounds())  # noqa: S608, UP032


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "a\0b"])
def test_a_path_stays_below_the_folder_of_sources(tmp_path: Path, path: str) -> None:
    with pytest.raises(Invalid):
        below(tmp_path, path)


async def test_a_database_that_is_not_there_is_unavailable_and_its_password_stays_untold(sources: Sources) -> None:
    gone = TableSource("shop", "postgresql", "postgresql://me:secret@127.0.0.1:1/none")

    with pytest.raises(Unavailable) as fault:
        await sources.query(gone, "SELECT 1 AS one", {}, Bounds())

    assert "secret" not in str(fault.value) + repr(gone)


async def test_a_file_that_is_not_there_is_unavailable(sources: Sources) -> None:
    for kind in ("sqlite", "files"):
        with pytest.raises(Unavailable):
            await sources.query(TableSource("x", kind, "none"), "SELECT 1 AS one", {}, Bounds())
