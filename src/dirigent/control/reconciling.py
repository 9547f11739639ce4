"""The operation that holds a provider's invoice against what was booked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.control.fields import Currency, Title
from dirigent.control.invoices import Booked, Difference, booked_of, compared, read_invoice, written
from dirigent.control.operation import operation
from dirigent.core.errors import Invalid
from dirigent.core.usage import Money
from dirigent.store import usage
from dirigent.store.database import Connection
from dirigent.store.usage import Question

__all__ = ["InvoiceOrder", "booked_within", "reconciled"]

_LONGEST = timedelta(days=400)
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=3_000_000)]


class InvoiceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invoice, and how it is to be read."""

    invoice: Text
    """Its lines in CSV, with a header: day, model, input_tokens, output_tokens, cached_tokens, amount, currency."""
    provider: Title | None = None
    """Whose invoice it is; then all that was booked for its deployments is held against it."""
    columns: dict[str, str] = {}
    """Columns that are called otherwise, such as `{"amount": "Cost (USD)"}`."""
    names: dict[str, str] = {}
    """Models whose names on the invoice are none of ours, with the deployment that is meant."""
    currency: Currency = "USD"
    """Of lines that name none."""
    cached: Literal["included", "separate"] = "included"
    """Whether the invoice counts cached tokens among those that went in, or beside them."""


class DifferenceRow(msgspec.Struct, frozen=True):
    """A day, a model and a currency, as the provider has billed them and as they were booked."""

    day: str
    model: str
    requests: int
    billed_input_tokens: int
    booked_input_tokens: int
    billed_output_tokens: int
    booked_output_tokens: int
    billed_cached_tokens: int
    booked_cached_tokens: int
    billed_amount: str | None
    """Exact decimals; None where nobody knows."""
    booked_amount: str | None
    difference: str | None
    """Billed beyond what was booked."""
    currency: str
    cause: str
    """Why they differ, most likely; empty where they agree."""


class Total(msgspec.Struct, frozen=True):
    """All that was compared in one currency."""

    currency: str
    billed: str
    booked: str
    difference: str


class Reconciled(msgspec.Struct, frozen=True):
    """An invoice held against what was booked, by day and model."""

    ok: bool
    """Whether both agree everywhere."""
    rows: tuple[DifferenceRow, ...]
    totals: tuple[Total, ...]
    csv: str
    """The same rows as a file."""


@operation("usage.reconcile", permission="usage.see", changes=True, audited=False)
def reconcile(desk: Desk, order: InvoiceOrder) -> Reconciled:
    """Holds a provider's invoice against what was booked, by day and model, with the likely causes of differences."""
    deployments = desk.doors.deployments()
    for name in order.names.values():
        if name not in deployments:
            raise Unknown(f"there is no deployment {name!r}", param="names")
    if order.provider is not None and order.provider not in {provider for provider, _ in deployments.values()}:
        raise Unknown(f"no deployment is served by a provider {order.provider!r}", param="provider")
    found = reconciled(desk.connection, desk.tenant, desk.now, order, deployments)
    return Reconciled(
        ok=all(not each.cause for each in found),
        rows=tuple(_row(each) for each in found),
        totals=_totals(found),
        csv=written(found),
    )


def reconciled(
    connection: Connection, tenant: str, now: int, order: InvoiceOrder, deployments: Mapping[str, tuple[str, str]]
) -> list[Difference]:
    """An invoice and what a tenant has booked in its time. Raises Invalid with the line at fault."""
    billed = read_invoice(order.invoice, columns=order.columns, currency=order.currency, cached=order.cached)
    if not billed:
        raise Invalid("the invoice has no line", param="invoice")
    first, last = min(day for day, _, _ in billed), max(day for day, _, _ in billed)
    if last - first > _LONGEST:
        raise Invalid("the invoice is about more than a year: give it in parts", param="invoice")
    mine = {name: each for name, each in deployments.items() if order.provider in (None, each[0])}
    since, until = (int(datetime.combine(day, time(), UTC).timestamp() * 1000) for day in (first, last))
    booked = booked_within(connection, Question(tenant, since, until + usage.DAY, now), mine)
    named = {theirs: mine[ours][1] for theirs, ours in order.names.items() if ours in mine}
    found = compared(billed, booked, {remote for _, remote in mine.values()}, named)
    if order.provider is not None:
        return list(found)
    on_it = {each.model for each in found if each.billed is not None}
    return [each for each in found if each.model in on_it]


def booked_within(connection: Connection, question: Question, deployments: Mapping[str, tuple[str, str]]) -> Booked:
    """What was booked for these deployments, by day and by the providers' names for them."""
    rows = usage.usage(connection, msgspec.structs.replace(question, by=("day", "deployment")))
    names = {name: remote for name, (_, remote) in deployments.items()}
    return booked_of([row for row in rows if row.parts[1] in names], names)


def _row(each: Difference) -> DifferenceRow:
    billed, booked = each.billed, each.booked
    left, right = (side.tokens if side is not None else (0, 0, 0) for side in (billed, booked))
    return DifferenceRow(
        day=each.day.isoformat(),
        model=each.model,
        requests=booked.requests if booked is not None else 0,
        billed_input_tokens=left[0],
        booked_input_tokens=right[0],
        billed_output_tokens=left[1],
        booked_output_tokens=right[1],
        billed_cached_tokens=left[2],
        booked_cached_tokens=right[2],
        billed_amount=_decimal(billed.amount if billed is not None else None),
        booked_amount=_decimal(booked.amount if booked is not None else None),
        difference=_decimal(each.money),
        currency=each.currency,
        cause=each.cause,
    )


def _totals(found: list[Difference]) -> tuple[Total, ...]:
    totals = []
    for currency in sorted({each.currency for each in found if each.currency}):
        billed = booked = Money(0, currency)
        for each in found:
            if each.currency == currency:
                billed += (each.billed.amount if each.billed is not None else None) or Money(0, currency)
                booked += (each.booked.amount if each.booked is not None else None) or Money(0, currency)
        totals.append(Total(currency, *(_decimal(money) or "0" for money in (billed, booked, billed - booked))))
    return tuple(totals)


def _decimal(money: Money | None) -> str | None:
    return None if money is None else str(money).partition(" ")[0]
