"""A table from Excel or a data team goes through a bulk run: each row once, broken ones told, and the same form out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from tests.cli.terminal import Ran, performed
from tests.journeys.node import node

CONFIG = """\
    models:
      quote:
        type: pipeline
        durable: true
        input:
          type: object
          properties:
            customer: {type: string}
            count: {type: integer, minimum: 1}
            price: {type: number}
            note: {type: string}
          required: [customer, count, price]
        steps:
          - {type: calculate, name: sums, values: {net: input.count * input.price}}
        result: "{{ input.customer }}: {{ sums.net }}{{ has(input.note) ? ' ' + input.note : '' }}"
    """
HEAD = ("customer", "count", "price", "note", "status", "on")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a node that all of this is given to."""
    folder = tmp_path_factory.mktemp("bulk") / "data"
    with node(folder, CONFIG):
        yield folder


def told(data: Path, table: Path, *words: str) -> Ran:
    return performed("runs", "bulk", "quote", "--in", str(table), "--data", str(data), "--json", *words)


def workbook(file: Path, rows: list[tuple[Any, ...]], *, more: bool = True) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Inquiries"
    for row in rows:
        sheet.append(row)
    if more:
        notes = book.create_sheet("Notes")
        notes.append(["note"])
        notes.append(["not an inquiry"])
    book.save(file)


def sheet_of(file: Path) -> list[dict[str, Any]]:
    head, *rows = openpyxl.load_workbook(file).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def parquet_of(file: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The types of a Parquet file's columns, and its rows."""
    with duckdb.connect() as database:
        found = database.execute("SELECT * FROM read_parquet($file)", {"file": str(file)})
        types = {str(column[0]): str(column[1]) for column in found.description or ()}
        return types, [dict(zip(types, row, strict=True)) for row in found.fetchall()]


def test_a_workbook_goes_in_and_comes_out_with_every_row_once_and_the_broken_ones_told(
    data: Path, tmp_path: Path
) -> None:
    table = tmp_path / "inquiries.xlsx"
    day = datetime(2026, 11, 30)  # noqa: DTZ001  a workbook knows no zones
    workbook(
        table,
        [
            HEAD,
            ("Köhler", 3, 12.5, None, "new", day),
            ("Brandt", "many", 1, None, "new", day),
            (None, None, None, None, None, None),
            ("Öz", 2, "#DIV/0!", None, "old", day),
            ("De Smet", 4, 0.1, "+ soon", "old", day),
            ("Weiß", 1, None, None, "old", day),
        ],
    )

    first = told(data, table)
    again = told(data, table)

    outcome = json.loads(first.out)
    assert (first.status, outcome["done"], outcome["failed"], outcome["refused"]) == (1, 2, 2, 1), first.err
    assert outcome["out"] == str(tmp_path / "inquiries.results.xlsx")
    assert [(fault["line"], fault["words"].partition(":")[0]) for fault in outcome["faults"]] == [
        (3, "input.count"),
        (5, "price"),
        (7, "input"),
    ]
    assert "price" in outcome["faults"][2]["words"]
    assert "left aside: Notes" in first.err
    rows = sheet_of(tmp_path / "inquiries.results.xlsx")
    assert [*rows[0]][: len(HEAD) + 2] == [*HEAD, "output", "status_2"]
    assert [(row["customer"], row["output"], row["status"], row["status_2"]) for row in rows] == [
        ("Köhler", "Köhler: 37.5", "new", "done"),
        ("Brandt", None, "new", "failed"),
        ("Öz", None, "old", "refused"),
        ("De Smet", "De Smet: 0.4 + soon", "old", "done"),
        ("Weiß", None, "old", "failed"),
    ]
    assert (rows[0]["on"], rows[0]["count"], rows[3]["note"]) == (day, 3, "+ soon")
    assert (json.loads(again.out)["id"], json.loads(again.out)["done"]) == (outcome["id"], 2)


def test_a_parquet_file_goes_in_and_comes_out_with_its_types(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "inquiries.parquet"
    with duckdb.connect() as database:
        database.execute(f"""COPY (SELECT * FROM (VALUES
            ('Köhler', 3::BIGINT, 12.5::DOUBLE, NULL, DATE '2026-11-30', ['a', 'b'],
             TIMESTAMPTZ '2026-11-30 08:00:00+01', 12345678901234567890.12::DECIMAL(24, 2), 'x'::BLOB),
            ('Brandt', 0, 1.0, NULL, DATE '2026-12-01', ['c'],
             TIMESTAMPTZ '2026-12-01 08:00:00+01', 0.50, '\\xFF'::BLOB),
            ('O''Hara', 9007199254740993, 'NaN', 'x', NULL, NULL, NULL, NULL, NULL),
            ('De Smet', 2, 0.1, 'soon', NULL, NULL, NULL, NULL, NULL)
        ) AS t (customer, count, price, note, "on", tags, moment, exact, raw)) TO '{table}' (FORMAT parquet)""")  # noqa: S608  a file of ours

    done = told(data, table)

    outcome = json.loads(done.out)
    assert (done.status, outcome["done"], outcome["failed"], outcome["refused"]) == (1, 2, 2, 0), done.err
    assert [(fault["row"], fault["words"].partition(":")[0]) for fault in outcome["faults"]] == [
        (2, "input.count"),
        (3, "input"),
    ]
    types, rows = parquet_of(tmp_path / "inquiries.results.parquet")
    assert [types[name] for name in ("customer", "count", "price", "note", "on")] == [
        "VARCHAR",
        "BIGINT",
        "DOUBLE",
        "VARCHAR",
        "DATE",
    ]
    assert (types["exact"], types["tags"], types["moment"]) == ("DECIMAL(22,2)", "VARCHAR", "TIMESTAMP WITH TIME ZONE")
    assert [(row["customer"], row["output"]) for row in rows] == [
        ("Köhler", "Köhler: 37.5"),
        ("Brandt", None),
        ("O'Hara", None),
        ("De Smet", "De Smet: 0.2 soon"),
    ]
    assert rows[0]["on"] == date(2026, 11, 30)
    assert (rows[0]["exact"], rows[0]["tags"], rows[2]["count"]) == (
        Decimal("12345678901234567890.12"),
        '["a","b"]',
        9007199254740993,
    )
    assert [row["raw"] for row in rows[:2]] == ["x", "/w=="]


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_the_results_go_out_in_whichever_form_is_asked_for(ending: str, data: Path, tmp_path: Path) -> None:
    table, target = tmp_path / "inquiries.xlsx", tmp_path / f"results.{ending}"
    head = (*HEAD[:3], *(f"note_{number}" for number in range(70)))
    workbook(table, [head, ("Köhler", 3, 12.5, *("x" for _ in range(70)))], more=False)

    done = told(data, table, "--out", str(target))

    assert (done.status, json.loads(done.out)["out"]) == (0, str(target)), done.err
    if ending == "csv":
        assert "Köhler: 37.5,done" in target.read_text("utf-8")
    else:
        (row,) = parquet_of(target)[1] if ending == "parquet" else sheet_of(target)
        assert (row["output"], row["status"], row["note_69"]) == ("Köhler: 37.5", "done", "x")


def test_a_workbook_whose_formulas_nobody_has_computed_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    table = tmp_path / "inquiries.xlsx"
    workbook(table, [HEAD[:3], ("Köhler", 3, "=5*2.5")])

    done = told(tmp_path, table)

    assert done.status == 1
    assert "the formulas of 'Inquiries' have no values, the first in C2" in done.err
