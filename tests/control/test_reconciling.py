"""An invoice is held against what was booked: exactly, day by day, with the likely cause of each difference."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dirigent.control import OPERATIONS
from dirigent.control.desk import Doors
from dirigent.control.permissions import Actor
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import Invalid
from dirigent.core.observations import Served
from dirigent.core.usage import Money
from dirigent.server.reports import Reports
from dirigent.store.records import write
from tests.control.office import START, Office

DAY = 86_400.0
MONDAY = datetime.fromtimestamp(START, UTC).date().isoformat()
TUESDAY = datetime.fromtimestamp(START + DAY, UTC).date().isoformat()
DEPLOYMENTS = {
    "premium": ("openai", "gpt-4o"),
    "twin": ("openai", "gpt-4o"),
    "cheap": ("openai", "gpt-4o-mini"),
    "claude": ("anthropic", "claude-sonnet-4-5"),
}


@pytest.fixture
def plane(office: Office) -> ControlPlane:
    doors = Doors(deployments=lambda: DEPLOYMENTS)
    return ControlPlane(office.database, OPERATIONS, doors, clock=lambda: office.now + 2 * DAY)


def books(office: Office, deployment: str, *, days: float = 0, nano: int | None = 1_000, **more: Any) -> None:
    fields: dict[str, Any] = {"input_tokens": 100, "output_tokens": 10, "status": 200, **more}
    cost = Money(nano, more.pop("currency", "USD")) if nano is not None else None
    fields.pop("currency", None)
    run = Served(
        at=office.now + days * DAY, run=f"run-{deployment}-{days}", request="", tenant="default", project="default",
        key="k", path="/v1", model="auto", deployment=deployment, cost=cost, **fields,
    )  # fmt: skip
    office.database.write(lambda connection: write(connection, [run]))


def reconciles(plane: ControlPlane, *lines: str, header: str = "", **order: Any) -> Any:
    text = "\n".join((header or "day,model,input_tokens,output_tokens,cached_tokens,amount,currency", *lines))
    found = OPERATIONS["usage.reconcile"]
    actor = Actor("operator", "operator", "owner", "default")
    return plane.perform("usage.reconcile", actor, msgspec.convert({"invoice": text, **order}, found.order))


def test_an_invoice_that_agrees_says_so_to_the_last_billionth(office: Office, plane: ControlPlane) -> None:
    books(office, "premium", nano=1_234_567)
    books(office, "twin", nano=1)

    outcome = reconciles(plane, f"{MONDAY},gpt-4o-2024-08-06,200,20,0,0.001234568,USD")

    assert outcome.ok
    (row,) = outcome.rows
    assert (row.model, row.requests, row.billed_amount, row.booked_amount, row.difference) == (
        "gpt-4o", 2, "0.001234568", "0.001234568", "0",
    )  # fmt: skip
    assert [(total.billed, total.difference) for total in outcome.totals] == [("0.001234568", "0")]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("{day},gpt-4o,100,10,0,0.0000013,USD", "another price: the invoice has 1.3 times"),
        ("{day},gpt-4o,100,10,60,0.000001,USD", "the provider counts its cache otherwise"),
        ("{day},gpt-4o,150,12,0,0.000002,USD", "the account is used beside Dirigent"),
        ("{day},gpt-4o,90,10,0,0.0000009,USD", "more was booked than billed"),
        ("{day},gpt-4o,90,12,0,0.000001,USD", "tokens are counted otherwise"),
        ("{day},gpt-4o,100,10,0,0.000001,EUR", "one side has it in EUR, the other in USD"),
        ("{day},gpt-9,100,10,0,0.000001,USD", "no deployment is called so"),
        ("{day},gpt-4o-mini,100,10,0,0.000001,USD", "the account is used beside Dirigent"),
    ],
)
def test_each_difference_comes_with_its_likely_cause(
    office: Office, plane: ControlPlane, line: str, cause: str
) -> None:
    books(office, "premium")

    outcome = reconciles(plane, line.format(day=MONDAY))

    assert not outcome.ok
    assert any(cause in row.cause for row in outcome.rows), outcome.rows


def test_answers_without_a_price_are_named_as_the_cause(office: Office, plane: ControlPlane) -> None:
    books(office, "premium", nano=None)

    outcome = reconciles(plane, f"{MONDAY},gpt-4o,100,10,0,0.002,USD")

    (row,) = outcome.rows
    assert row.cause == "1 of 1 answers had no known price here"
    assert row.booked_amount is None


def test_a_day_that_begins_at_another_hour_is_recognised(office: Office, plane: ControlPlane) -> None:
    books(office, "premium", days=0)
    books(office, "premium", days=1)

    outcome = reconciles(plane, f"{MONDAY},gpt-4o,130,13,0,0.0000013,USD", f"{TUESDAY},gpt-4o,70,7,0,0.0000007,USD")

    assert [row.cause.partition(":")[0] for row in outcome.rows] == [
        f"the difference of {TUESDAY} the other way round",
        f"the difference of {MONDAY} the other way round",
    ]
    assert outcome.totals[0].difference == "0"


def test_with_a_provider_all_of_its_deployments_are_looked_at_and_no_others(
    office: Office, plane: ControlPlane
) -> None:
    for name in ("premium", "cheap", "claude"):
        books(office, name)
    line = f"{MONDAY},gpt-4o,100,10,0,0.000001,USD"

    alone, whole = reconciles(plane, line), reconciles(plane, line, provider="openai")

    assert [row.model for row in alone.rows] == ["gpt-4o"]
    assert [(row.model, row.cause) for row in whole.rows] == [
        ("gpt-4o", ""),
        ("gpt-4o-mini", "not on the invoice: free of charge, or on another one"),
    ]


def test_columns_names_and_habits_of_the_invoice_can_be_told(office: Office, plane: ControlPlane) -> None:
    books(office, "claude", input_tokens=100, cached_tokens=60, nano=1_250_000_000)
    monday = datetime.fromtimestamp(START, UTC).strftime("%d.%m.%Y")

    outcome = reconciles(
        plane,
        f"{monday};Sonnet;40;10;60;1,25",
        header="Datum;Modell;Eingabe;Ausgabe;Cache;Betrag",
        columns={"day": "Datum", "model": "Modell", "input_tokens": "Eingabe", "output_tokens": "Ausgabe",
                 "cached_tokens": "Cache", "amount": "Betrag"},
        names={"Sonnet": "claude"},
        cached="separate",
    )  # fmt: skip

    assert outcome.ok, outcome.rows


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("yesterday,gpt-4o,1,1,0,1,USD", "line 2: 'yesterday' is no day"),
        ('{day},gpt-4o,1,1,0,"1,234",USD', "line 2: '1,234' is no amount"),
        ("{day},gpt-4o,many,1,0,1,USD", "line 2: 'many' is no input tokens"),
        ("{day},gpt-4o,1,1,0,1,dollars", "line 2: 'dollars' is no currency"),
        ("{day},,1,1,0,1,USD", "line 2: '' is no model"),
        ("", "the invoice has no line"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(plane: ControlPlane, line: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        reconciles(plane, line.format(day=MONDAY))

    assert words in refused.value.message


def test_a_missing_column_is_told_with_those_that_are_there(plane: ControlPlane) -> None:
    with pytest.raises(Invalid, match="no column 'amount'; it has day, model, price"):
        reconciles(plane, "x", header="day,model,price")


def test_the_file_is_exact_and_no_spreadsheet_takes_it_for_a_formula(office: Office, plane: ControlPlane) -> None:
    books(office, "premium", nano=7)

    outcome = reconciles(plane, f"{MONDAY},gpt-4o,100,10,0,0.000000008,USD", f"{MONDAY},=1+1,1,1,0,1,USD")

    rows = list(csv.DictReader(io.StringIO(outcome.csv)))
    assert [row["model"] for row in rows] == ["'=1+1", "gpt-4o"]
    assert rows[1]["difference"] == "0.000000001"
    assert rows[1]["booked_amount"] == "0.000000007"


def test_every_night_the_node_writes_down_the_day_and_compares_the_invoices_it_finds(
    office: Office, tmp_path: Path
) -> None:
    books(office, "premium", nano=5_000_000)
    now = office.now + DAY
    data = tmp_path / "data"
    (data / "invoices" / "default").mkdir(parents=True)
    (data / "invoices" / "default" / "openai.csv").write_text(
        f"day,model,input_tokens,output_tokens,amount\n{MONDAY},gpt-4o,100,10,0.005\n", encoding="utf-8"
    )
    (data / "invoices" / "default" / "broken.csv").write_text("nothing", encoding="utf-8")
    reports = Reports(office.database, data, lambda: DEPLOYMENTS, clock=lambda: now)

    reports.catch_up()
    reports.catch_up()

    folder = data / "reports" / "default"
    assert [file.name for file in folder.glob("????-??-??.csv")] == [f"{MONDAY}.csv"]
    assert rows_of(folder / f"{MONDAY}.csv")[0].items() >= {"model": "gpt-4o", "booked_amount": "0.005"}.items()
    assert rows_of(folder / "openai.compared.csv")[0].items() >= {"difference": "0", "cause": ""}.items()
    assert (folder / f"{MONDAY}.csv").stat().st_mode & 0o777 == 0o600


def rows_of(file: Path) -> list[Mapping[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
