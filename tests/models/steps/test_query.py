"""The step that asks tables: what it gives, what its purpose permits, and what is refused when it is published."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from dirigent.core.errors import Forbidden
from dirigent.core.grants import Grant, Scope
from dirigent.core.purposes import Purpose
from dirigent.store.sources import Sources
from tests.models.steps.world import faults_of, step_of, work, worked

SHOP = {"shop": {"type": "sql", "path": "shop.db"}}
QUERY = {
    "type": "query",
    "source": "shop",
    "sql": "SELECT id, total FROM orders WHERE customer = :who",
    "parameters": {"who": "{{ input.customer }}"},
}


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    with sqlite3.connect(tmp_path / "shop.db") as made:
        made.execute("CREATE TABLE orders (id integer, customer text, total numeric)")
        made.execute("INSERT INTO orders VALUES (1, 'Erika', 19.9), (2, 'Max', 5)")
    made.close()
    opened = Sources(tmp_path)
    yield opened
    opened.close()


async def test_it_gives_the_rows_as_objects(sources: Sources) -> None:
    found, place = await worked(QUERY, {"input": {"customer": "Erika"}}, sources=SHOP, tables=sources)

    assert found == {
        "rows": [{"id": 1, "total": Decimal("19.9")}],
        "columns": ["id", "total"],
        "count": 1,
        "more": False,
    }
    assert place.told == {"source": "shop", "rows": 1, "more": False}


async def test_a_purpose_that_binds_data_to_regions_asks_no_source_elsewhere(sources: Sources) -> None:
    far = {"shop": {"type": "sql", "path": "shop.db", "region": "us"}}
    _, place = await worked(QUERY, {"input": {"customer": "Max"}}, sources=far, tables=sources)
    place.run.grant = Grant(Purpose("offers", models=("*",), regions=("eu",)), (Scope("this node"),))

    with pytest.raises(Forbidden, match="'shop' is in us"):
        await step_of(QUERY).work(place)


async def test_the_tables_of_files_are_asked_like_any_other(tmp_path: Path, sources: Sources) -> None:
    (tmp_path / "sales").mkdir()
    (tmp_path / "sales" / "Sales 2026.csv").write_text("region;amount\nNord;3\nSüd;4\n", encoding="utf-8")
    step = {"type": "query", "source": "sales", "sql": "SELECT sum(amount) AS s FROM sales_2026"}

    found = await work(step, sources={"sales": {"type": "files", "path": "sales"}}, tables=sources)

    assert found["rows"] == [{"s": 7}]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"source": "shup"}, ("source",)),
        ({"source": "papers"}, ("source",)),
        ({"sql": "DELETE FROM orders"}, ("sql",)),
        ({"parameters": {}}, ("parameters",)),
        ({"parameters": {"who": "x", "more": 1}}, ("parameters", "more")),
    ],
)
def test_publishing_refuses_what_could_never_work(changed: dict[str, object], path: tuple[str, ...]) -> None:
    faults = faults_of(QUERY | changed, {**SHOP, "papers": {"type": "collection", "path": "papers"}})

    assert [fault.path for fault in faults] == [path]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({"type": "sql", "path": "../dirigent.db"}, ("sources", "s", "path")),
        ({"type": "sql", "path": "/etc/x.db"}, ("sources", "s", "path")),
        ({"type": "sql"}, ("sources", "s")),
        ({"type": "sql", "url": {"env": "NOT_THERE"}}, ("sources", "s", "url")),
        ({"type": "sql", "url": {"env": "KEY"}}, ("sources", "s", "url")),
        ({"type": "rest", "base_url": "https://user:x@host/"}, ("sources", "s", "base_url")),
        ({"type": "rest", "base_url": "https://host", "headers": {"host": "x"}}, ("sources", "s", "headers", "host")),
        (
            {"type": "odata", "base_url": "https://host", "headers": {"apikey": {"env": "NOT_THERE"}}},
            ("sources", "s", "headers", "apikey"),
        ),
        ({"type": "files", "path": "a/../../b"}, ("sources", "s", "path")),
    ],
)
def test_publishing_refuses_a_source_that_leads_astray(source: dict[str, object], path: tuple[str, ...]) -> None:
    faults = faults_of(QUERY, {**SHOP, "s": source})

    assert [fault.path for fault in faults] == [path]
