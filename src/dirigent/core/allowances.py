"""How much of one thing may be used up in one window: a budget's money, or a limit's requests, tokens and calls.

Budgets and limits are counted by the same rule, so that one statement holds all levels at once: nothing is admitted
unless what is booked, what is reserved and its own upper bound stay within each allowance.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Literal

import msgspec

from dirigent.core.errors import BudgetExceeded, Denied, LimitExceeded, PriceUnknown
from dirigent.core.usage import Money
from dirigent.core.windows import Window

__all__ = [
    "Allowance",
    "AllowanceOverrun",
    "AllowancePassed",
    "Charge",
    "Level",
    "Rates",
    "Standing",
    "Unit",
    "Window",
    "amount_of",
    "forecast_of",
    "no_price",
    "no_rates",
    "reduced",
    "refusal",
    "share_of",
    "stop",
    "words_of",
]

Unit = Literal["money", "requests", "tokens", "calls"]
"""What is counted; `calls` are those in progress at once, which are given back when they end."""
Level = Literal["tenant", "project", "purpose", "member", "key", "model", "run"]
"""Whose it is; `run` is given by a model to what it asks, and never set by a person."""
Rates = Callable[[str, str, str], Fraction | None]
"""In which tenant, from and to which currency: how much of the latter one unit of the former is worth, exactly; None
where nobody knows."""


class Allowance(msgspec.Struct, frozen=True):
    """What one level may use up of one unit in one window."""

    id: str
    level: Level
    subject: str
    """The id or name of the tenant, project, purpose, member, key or model that it belongs to."""
    unit: Unit
    most: int
    """Nano-units of `currency`, or a count."""
    window: Window = "total"
    """Calendar windows in `zone`; a week begins on Monday. Calls have none: they count while they last.

    Under `run` each run counts for itself: that is done by its allotment, and no ledger hears of it."""
    zone: str = "UTC"
    """An IANA time zone."""
    currency: str = ""
    """ISO 4217; of money alone."""
    stopped: bool = False
    """Whether somebody has stopped it by hand: then nothing is admitted, and what runs is cut."""
    warn: int = 80
    """At how many hundredths of it somebody is told."""
    thrift: int = 90
    """At how many hundredths of it routers turn to cheaper models."""
    version: int = 0
    """Rises with each change: of two that bear the same id, the higher counts, whoever brings the lower one later."""
    tenant: str = "default"


class Charge(msgspec.Struct, frozen=True):
    """What a call to a provider uses up: at most, before it is made, or in truth, once it is over."""

    money: Money | None = None
    """None where no price is known; an allowance of money then admits nothing."""
    tokens: int = 0
    requests: int = 1


class Standing(msgspec.Struct, frozen=True):
    """How an allowance stands in its present window, in its own unit; leased to nodes counts as reserved."""

    booked: int
    reserved: int
    presumed: int
    """Of calls whose end nobody knows: counted as spent until somebody releases it."""
    overrun: int
    """What providers billed beyond the upper bound of calls that had been admitted."""
    most: int
    resets: float | None
    """When the window ends, in seconds since 1970; None for a total."""


class AllowancePassed(msgspec.Struct, frozen=True):
    """An allowance is used up to `percent`: told once per window, and again only by other workers of the node."""

    allowance: Allowance
    percent: int
    share: float


class AllowanceOverrun(msgspec.Struct, frozen=True):
    """A provider billed more than the upper bound of a call that had been admitted."""

    allowance: Allowance
    run: str
    amount: int
    """In the allowance's unit; it is taken from what is left."""


def no_rates(*_: str) -> Fraction | None:
    """Knows no rate of exchange."""
    return None


def amount_of(allowance: Allowance, charge: Charge, rates: Rates = no_rates) -> int | None:
    """What a charge is in an allowance's unit, rounded up; None of money where no price or no rate is known."""
    match allowance.unit:
        case "money":
            money = charge.money
            if money is None or money.currency == allowance.currency:
                return None if money is None else money.nano
            rate = rates(allowance.tenant, money.currency, allowance.currency)
            return None if rate is None else money.converted(rate, allowance.currency).nano
        case "tokens":
            return charge.tokens
        case _:
            return charge.requests


def reduced(charge: Charge, least: Charge, allowance: Allowance, left: int, rates: Rates = no_rates) -> Charge:
    """As much of a charge as an allowance with so much left can bear, though never less than `least`."""
    if allowance.unit == "tokens":
        return msgspec.structs.replace(charge, tokens=max(least.tokens, min(charge.tokens, left)))
    if allowance.unit != "money" or charge.money is None or least.money is None:
        return charge
    nano = left
    if charge.money.currency != allowance.currency:
        rate = rates(allowance.tenant, charge.money.currency, allowance.currency)
        if not rate:
            return charge
        nano = left * rate.denominator // rate.numerator
    borne = max(least.money.nano, min(charge.money.nano, nano))
    return msgspec.structs.replace(charge, money=Money(borne, charge.money.currency))


def refusal(allowance: Allowance, left: int, need: int, resets: float | None, now: float) -> Denied:
    """Why a call that needs more than is left was refused, in words for whoever asked."""
    until = "" if resets is None else f", until {datetime.fromtimestamp(resets, UTC):%Y-%m-%d %H:%M} UTC"
    whose, left = f"the {allowance.level} {allowance.subject}", max(0, left)
    error: Denied
    if allowance.unit == "money":
        rest, need_, most = (Money(nano, allowance.currency) for nano in (left, need, allowance.most))
        error = BudgetExceeded(
            f"the budget of {whose} has {rest} left of {most}{until}, and this call may cost {need_}",
            level=allowance.level,
            subject=allowance.subject,
            resets=resets,
        )
        error.rule = f"the budget of {whose}"
        return error
    if allowance.unit == "calls":
        return LimitExceeded(f"{whose} may have {allowance.most} calls in progress at once", retry_after=1.0)
    error = LimitExceeded(
        f"{whose} has {left} of {allowance.most} {allowance.unit} left{until}, and this call needs {need}",
        retry_after=None if resets is None else max(0.0, resets - now),
    )
    error.rule = f"the limit of {allowance.most} {allowance.unit} of {whose}"
    if need > allowance.most or resets is None:
        error.retry_after = None  # no window will ever be large enough
    return error


def stop(allowance: Allowance) -> Denied:
    """Why nothing is admitted: somebody has stopped the allowance by hand."""
    whose = f"the {allowance.level} {allowance.subject}"
    if allowance.unit == "money":
        words = f"the budget of {whose} was stopped by hand"
        return BudgetExceeded(words, level=allowance.level, subject=allowance.subject, resets=None)
    return LimitExceeded(f"the limit of {whose} was stopped by hand")


def no_price(allowance: Allowance, charge: Charge) -> PriceUnknown:
    """Why money cannot be reserved: nobody knows what the call costs in the currency of the budget."""
    whose = f"a budget of the {allowance.level} {allowance.subject}"
    if charge.money is None:
        return PriceUnknown(f"{whose} stands, and nobody knows what this deployment costs")
    return PriceUnknown(
        f"{whose} is in {allowance.currency}, and no rate of exchange from {charge.money.currency} is known"
    )


def share_of(standing: Standing) -> float:
    """How much of an allowance is used up, as a share of all of it: booked, presumed to be, and beyond its bounds."""
    used = _used(standing)
    return used / standing.most if standing.most else float(used > 0)


def forecast_of(standing: Standing, elapsed: float) -> float:
    """How much of it will be used up at its window's end if it goes on as in the share of it that has elapsed."""
    return share_of(standing) / elapsed


def words_of(allowance: Allowance, standing: Standing, reached: float, *, forecast: bool = False) -> str:
    """How a budget stands, for people."""
    spent, most = (Money(nano, allowance.currency) for nano in (_used(standing), standing.most))
    words = f"the budget of the {allowance.level} {allowance.subject} ({allowance.window}) has {spent} spent of {most}"
    if forecast:
        return f"{words}; if it goes on like this, it will be {100 * reached:.0f} % at the end"
    return f"{words} ({100 * reached:.0f} %)"


def _used(standing: Standing) -> int:
    return standing.booked + standing.presumed + standing.overrun
