"""Operations on rates of exchange."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from dirigent.control.desk import Desk
from dirigent.control.fields import Amount, Currency
from dirigent.control.operation import operation
from dirigent.core.errors import Invalid
from dirigent.store.allowances import Rate, keep_rate, rates


class RateOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit of a currency is worth in another."""

    source: Currency
    target: Currency
    rate: Amount
    since: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """From when on, in milliseconds since 1970; from now on where nothing is said."""


class RatesListed(msgspec.Struct, frozen=True):
    """Rates, the last one of each pair first."""

    rates: tuple[Rate, ...]


class RatesAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Needs no particulars."""


@operation("rates.set", permission="allowances.change", changes=True)
def set_rate(desk: Desk, order: RateOrder) -> Rate:
    """Sets a rate of exchange, for budgets in another currency than the price; it holds the other way round as well."""
    changed = desk.change()
    if Decimal(order.rate) == 0:
        raise Invalid("rate: nothing can be worth nothing", param="rate")
    if order.source == order.target:
        raise Invalid("target: a currency is worth itself", param="target")
    since = desk.now if order.since is None else order.since
    rate = Rate(desk.tenant, order.source, order.target, order.rate, since)
    keep_rate(desk.connection, rate, changed)
    desk.note(f"rate:{rate.source}-{rate.target}", "was set", rate=rate.rate, since=since)
    return rate


@operation("rates.list", permission="allowances.see", changes=False)
def list_rates(desk: Desk, order: RatesAsked) -> RatesListed:  # noqa: ARG001  each operation takes an order
    """Lists rates of exchange, those that have been replaced too."""
    return RatesListed(tuple(rates(desk.connection, desk.tenant)))
