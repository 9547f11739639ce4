"""Operations on records: what people and the command line are told of runs, usage and latency."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dirigent.control import OPERATIONS
from dirigent.control.desk import Unknown
from dirigent.control.permissions import Actor
from dirigent.core.errors import Forbidden, Invalid
from dirigent.core.observations import Served
from dirigent.core.usage import Money
from dirigent.store.records import write
from tests.control.office import START, Office


def served(number: int, **other: object) -> Served:
    said: dict[str, object] = {
        "at": START - 60 * number,
        "run": f"run-{number:024x}",
        "request": f"run-{number:024x}",
        "tenant": "default",
        "project": "sales",
        "key": "k-1",
        "path": "/v1/chat/completions",
        "model": "auto",
        "deployment": "gpt-4o",
        "status": 200,
        "attempts": 1,
        "input_tokens": 100,
        "output_tokens": 10,
        "cost": Money(1_500_000_000),
        "seconds": 0.5,
        "purpose": "support",
    } | other
    return Served(**said)  # type: ignore[arg-type]


def keep(office: Office, *several: Served) -> None:
    office.database.write(lambda connection: write(connection, several))


def report(office: Office, name: str, **order: object) -> Any:
    """The outcome of a report, whose order has a field of the name by which an office takes roles."""
    operation = OPERATIONS[name]
    actor = Actor("operator", "operator", "owner", "default")
    return office.plane.perform(name, actor, msgspec.convert(order, operation.order))


def test_runs_are_listed_page_by_page_and_shown(office: Office) -> None:
    keep(office, *(served(number) for number in range(5)))

    first = office.does("runs.list", limit=3)
    second = office.does("runs.list", limit=3, before=first.before)
    shown = office.does("runs.show", run=served(4).run)

    assert [row.run for row in (*first.runs, *second.runs)] == [served(number).run for number in range(5)]
    assert second.before is None
    assert shown == second.runs[-1]
    assert (shown.cost, shown.currency, shown.milliseconds) == ("1.5", "USD", 500)


def test_no_run_of_another_tenant_is_shown(office: Office) -> None:
    keep(office, served(1, tenant="acme"))

    with pytest.raises(Unknown):
        office.does("runs.show", run=served(1).run)
    assert office.does("runs.list").runs == ()
    assert report(office, "usage.report").rows == ()


def test_usage_is_added_up_by_what_is_asked(office: Office) -> None:
    keep(
        office,
        served(1),
        served(2, project="law", transaction="case 7"),
        served(3, code="budget_exceeded", cost=None, input_tokens=None, output_tokens=None),
        served(4, cost=None),
    )

    whole = report(office, "usage.report")
    projects = report(office, "usage.report", by=["project"])
    case = report(office, "usage.report", by=["transaction"], transaction="case 7")
    by_key = report(office, "usage.report", by=["key", "day"], key="k-1")

    assert {(row.currency, row.requests, row.cost, row.unpriced, row.errors) for row in whole.rows} == {
        ("USD", 2, "3", 0, 0),
        (None, 2, "0", 1, 1),
    }
    assert {(row.parts["project"], row.currency): row.requests for row in projects.rows} == {
        ("law", "USD"): 1,
        ("sales", "USD"): 1,
        ("sales", None): 2,
    }
    assert [(row.parts, row.cost) for row in case.rows] == [({"transaction": "case 7"}, "1.5")]
    assert sum(row.requests for row in by_key.rows) == 4


def test_latency_is_told_in_milliseconds(office: Office) -> None:
    keep(
        office,
        *(served(number, seconds=number / 10, model=None if number > 50 else "auto") for number in range(1, 101)),
    )

    rows = report(office, "latency.report", by=["model"]).rows

    assert [row.parts["model"] for row in rows] == [None, "auto"]
    assert [row.requests for row in rows] == [50, 50]
    assert rows[1].p50 == pytest.approx(2500, rel=0.03)
    assert rows[0].p95 == pytest.approx(9800, rel=0.03)


@pytest.mark.parametrize(
    "order",
    [
        {"by": ["key", "hour"]},
        {"by": ["hour"], "transaction": "t"},
        {"since": 5, "until": 5},
        {"since": 0, "until": 2**43},
    ],
)
def test_what_cannot_be_answered_is_refused(office: Office, order: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        report(office, "usage.report", **order)


def test_who_only_looks_at_figures_sees_no_runs(office: Office) -> None:
    keep(office, served(1))

    assert report(office, "latency.report").rows
    with pytest.raises(Forbidden):
        office.does("runs.list", by="viewer")
