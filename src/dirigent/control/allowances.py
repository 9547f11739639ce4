"""Operations on budgets and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import msgspec

from dirigent.control.desk import Desk, Taken, Unknown
from dirigent.control.fields import Amount, Currency, Id, Name, Title, Zone, money, zoned
from dirigent.control.operation import operation
from dirigent.core.allowances import Allowance, Level, Standing, Unit, Window
from dirigent.core.errors import Invalid
from dirigent.core.usage import Money
from dirigent.store import allowances, keys, people, purposes
from dirigent.store.ledger import release, standings
from dirigent.store.people import Tenant

Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Counted = Literal["requests", "tokens", "calls"]
_COUNTED: tuple[Unit, ...] = get_args(Counted)


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose: one of these, or all of the tenant where none is named."""

    project: Name | None = None
    """All keys of this project together."""
    purpose: Name | None = None
    """All that is asked for this purpose."""
    member: Id | None = None
    """All keys of this member together, by the member's id."""
    key: Id | None = None
    """This key, with those that replaced it."""
    model: Title | None = None
    """All calls to the model of this name."""


class BudgetOrder(Subject, frozen=True, kw_only=True):
    """How much money may be spent on what."""

    limit: Amount
    currency: Currency | None = None
    """The tenant's where none is named."""
    window: Window = "total"
    """From when to when it counts; `total` is for ever."""
    zone: Zone | None = None
    """In which time zone days and months begin; the tenant's where none is named."""
    warn: Percent = 80
    """The per cent of it at which people are told."""
    thrift: Percent = 90
    """The per cent of it from which on cheaper models come first."""


class LimitOrder(Subject, frozen=True, kw_only=True):
    """How many requests, tokens or calls at once."""

    unit: Counted
    most: Count
    window: Window = "minute"
    """From when to when it counts; calls are counted while they last, whatever stands here."""
    zone: Zone | None = None
    """In which time zone days and months begin; the tenant's where none is named."""


class AllowanceChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one."""

    id: Id


class AllowancesAsked(Subject, frozen=True, kw_only=True):
    """Of whom; all where nobody is named."""


class Budget(msgspec.Struct, frozen=True):
    """A budget, and how it stands in its present window. Amounts are exact decimals."""

    id: str
    level: Level
    subject: str
    limit: str
    currency: str
    window: Window
    zone: str
    warn: int
    thrift: int
    stopped: bool
    spent: str = "0"
    """Settled, and what providers billed beyond their bounds."""
    held: str = "0"
    """Reserved for what is running, or at hand on a node."""
    presumed: str = "0"
    """Of calls whose end nobody knows: counted as spent until somebody releases it."""
    resets: float | None = None
    """When the window ends, in seconds since 1970; None for a total."""


class Budgets(msgspec.Struct, frozen=True):
    """Budgets, the oldest first."""

    budgets: tuple[Budget, ...]


class Limit(msgspec.Struct, frozen=True):
    """A limit, and how it stands in its present window."""

    id: str
    level: Level
    subject: str
    unit: Unit
    most: int
    window: Window
    zone: str
    stopped: bool
    used: int = 0
    held: int = 0
    resets: float | None = None
    """When the window ends, in seconds since 1970; None for a total."""


class Limits(msgspec.Struct, frozen=True):
    """Limits, the oldest first."""

    limits: tuple[Limit, ...]


# --- budgets ----------------------------------------------------------------------------------------------------------


@operation("budgets.set", permission="allowances.change", changes=True)
def set_budget(desk: Desk, order: BudgetOrder) -> Budget:
    """Sets how much a tenant, project, purpose, member, key or model may spend; nothing beyond it is ever admitted.

    One that stands already for the same window keeps what it has counted.
    """
    changed = desk.change()
    tenant = _tenant(desk)
    currency = order.currency or tenant.currency
    nano = money(order.limit, currency, "limit")
    budget = _set(
        desk,
        order,
        tenant=tenant,
        unit="money",
        window=order.window,
        most=nano,
        changed=changed,
        currency=currency,
        insisted=order.currency,
    )
    budget = msgspec.structs.replace(budget, warn=order.warn, thrift=order.thrift)
    allowances.keep_allowance(desk.connection, budget, desk.now, changed)
    desk.note(
        f"{budget.level}:{budget.subject}",
        "has a budget",
        budget=budget.id,
        limit=str(Money(budget.most, currency)),
        window=budget.window,
    )
    return _budget(budget, _standing(desk, budget))


@operation("budgets.list", permission="allowances.see", changes=False)
def list_budgets(desk: Desk, order: AllowancesAsked) -> Budgets:
    """Lists budgets with what of them is spent, held and presumed."""
    found = _asked(desk, order, ("money",))
    stand = standings(desk.connection, found, desk.now / 1000)
    return Budgets(tuple(_budget(each, stand[each.id]) for each in found))


@operation("budgets.stop", permission="traffic.stop", changes=True)
def stop_budget(desk: Desk, order: AllowanceChosen) -> Budget:
    """Stops all spending on a budget now: nothing is admitted, and answers that are running are cut within a second."""
    budget = _stopped(desk, order.id, stopped=True)
    desk.note(f"{budget.level}:{budget.subject}", "may spend nothing", budget=budget.id)
    return _budget(budget, _standing(desk, budget))


@operation("budgets.resume", permission="traffic.stop", changes=True)
def resume_budget(desk: Desk, order: AllowanceChosen) -> Budget:
    """Lets a budget that was stopped be spent again."""
    budget = _stopped(desk, order.id, stopped=False)
    desk.note(f"{budget.level}:{budget.subject}", "may spend again", budget=budget.id)
    return _budget(budget, _standing(desk, budget))


@operation("budgets.release", permission="allowances.change", changes=True)
def release_budget(desk: Desk, order: AllowanceChosen) -> Budget:
    """Frees what of a budget was only presumed to be spent, because nobody has seen the end of a call."""
    budget = _allowance_at(desk, order.id, ("money",))
    freed = release(desk.connection, budget.id)
    desk.note(
        f"{budget.level}:{budget.subject}",
        "had presumed spending released",
        budget=budget.id,
        amount=str(Money(freed, budget.currency)),
    )
    return _budget(budget, _standing(desk, budget))


@operation("budgets.remove", permission="allowances.change", changes=True)
def remove_budget(desk: Desk, order: AllowanceChosen) -> Budget:
    """Removes a budget: what it was for may spend without it."""
    budget = _removed(desk, order.id, ("money",))
    desk.note(f"{budget.level}:{budget.subject}", "has one budget less", budget=budget.id)
    return _budget(budget, _standing(desk, budget))


# --- limits -----------------------------------------------------------------------------------------------------------


@operation("limits.set", permission="allowances.change", changes=True)
def set_limit(desk: Desk, order: LimitOrder) -> Limit:
    """Sets how many requests, tokens or calls at once a tenant, project, purpose, member, key or model may have."""
    changed = desk.change()
    window: Window = "total" if order.unit == "calls" else order.window
    limit = _set(desk, order, tenant=_tenant(desk), unit=order.unit, window=window, most=order.most, changed=changed)
    allowances.keep_allowance(desk.connection, limit, desk.now, changed)
    desk.note(
        f"{limit.level}:{limit.subject}",
        "has a limit",
        limit=limit.id,
        unit=limit.unit,
        most=limit.most,
        window=limit.window,
    )
    return _limit(limit, _standing(desk, limit))


@operation("limits.list", permission="allowances.see", changes=False)
def list_limits(desk: Desk, order: AllowancesAsked) -> Limits:
    """Lists limits with what of them is used."""
    found = _asked(desk, order, _COUNTED)
    stand = standings(desk.connection, found, desk.now / 1000)
    return Limits(tuple(_limit(each, stand[each.id]) for each in found))


@operation("limits.remove", permission="allowances.change", changes=True)
def remove_limit(desk: Desk, order: AllowanceChosen) -> Limit:
    """Removes a limit."""
    limit = _removed(desk, order.id, _COUNTED)
    desk.note(f"{limit.level}:{limit.subject}", "has one limit less", limit=limit.id)
    return _limit(limit, _standing(desk, limit))


# --- what they share --------------------------------------------------------------------------------------------------


def _set(
    desk: Desk,
    order: BudgetOrder | LimitOrder,
    *,
    tenant: Tenant,
    unit: Unit,
    window: Window,
    most: int,
    changed: int,
    currency: str = "",
    insisted: str | None = None,
) -> Allowance:
    """The allowance as it shall be: the one of this subject, unit and window with another amount, or a new one."""
    chosen, zone = _chosen(desk, order), order.zone
    level, subject = chosen if chosen is not None else ("tenant", desk.tenant)
    same = allowances.allowances(desk.connection, desk.tenant, level=level, subject=subject, units=(unit,))
    before = next((each for each in same if each.window == window), None)
    if before is None:
        return Allowance(
            keys.new_id("a"),
            level,
            subject,
            unit,
            most,
            window,
            tenant.zone if zone is None else zoned(zone),
            currency,
            version=changed,
            tenant=desk.tenant,
        )
    for field, given, kept in (("currency", insisted, before.currency), ("zone", zone, before.zone)):
        if given is not None and given != kept:
            raise Taken(
                f"{before.id} counts by the {field} {kept}, and what it has counted would mean something else by"
                f" {given}: remove it first",
                param=field,
            )
    return msgspec.structs.replace(before, most=most, version=changed)


def _tenant(desk: Desk) -> Tenant:
    tenant = people.tenant_named(desk.connection, desk.tenant)
    if tenant is None:
        raise Unknown(f"there is no tenant {desk.tenant!r}")
    return tenant


def _asked(desk: Desk, order: AllowancesAsked, units: Sequence[Unit]) -> Sequence[Allowance]:
    chosen = _chosen(desk, order)
    level, subject = chosen if chosen is not None else (None, None)
    return allowances.allowances(desk.connection, desk.tenant, level=level, subject=subject, units=units)


def _chosen(desk: Desk, order: Subject) -> tuple[Level, str] | None:
    """Whose it is, once it is known to exist. Raises Invalid where several are named, Unknown where it does not."""
    connection, tenant = desk.connection, desk.tenant
    named: list[tuple[Level, str]] = []
    if order.project is not None:
        if people.project_named(connection, tenant, order.project) is None:
            raise Unknown(f"there is no project {order.project!r}", param="project")
        named.append(("project", order.project))
    if order.purpose is not None:
        if purposes.purpose_named(connection, tenant, order.purpose) is None:
            raise Unknown(f"there is no purpose {order.purpose!r}", param="purpose")
        named.append(("purpose", order.purpose))
    if order.member is not None:
        if people.member_of(connection, tenant, order.member) is None:
            raise Unknown(f"there is no member {order.member!r}", param="member")
        named.append(("member", order.member))
    if order.key is not None:
        key = keys.key_of(connection, tenant, order.key)
        if key is None:
            raise Unknown(f"there is no key {order.key!r}", param="key")
        named.append(("key", key.origin))  # a key that is replaced brings along what it has spent
    if order.model is not None:
        named.append(("model", order.model))
    if len(named) > 1:
        raise Invalid(f"it is for the {named[0][0]} or for the {named[1][0]}, not for both")
    return named[0] if named else None


def _stopped(desk: Desk, id_: str, *, stopped: bool) -> Allowance:
    changed = desk.change()
    budget = _allowance_at(desk, id_, ("money",))
    budget = msgspec.structs.replace(budget, stopped=stopped, version=changed)
    allowances.keep_allowance(desk.connection, budget, desk.now, changed)
    return budget


def _removed(desk: Desk, id_: str, units: Sequence[Unit]) -> Allowance:
    changed = desk.change()
    allowance = _allowance_at(desk, id_, units)
    allowances.remove_allowance(desk.connection, desk.tenant, allowance.id, desk.now, changed)
    return allowance


def _allowance_at(desk: Desk, id_: str, units: Sequence[Unit]) -> Allowance:
    allowance = allowances.allowance_named(desk.connection, desk.tenant, id_)
    if allowance is None or allowance.unit not in units:
        raise Unknown(f"there is no {'budget' if 'money' in units else 'limit'} {id_!r}", param="id")
    return allowance


def _standing(desk: Desk, allowance: Allowance) -> Standing:
    return standings(desk.connection, [allowance], desk.now / 1000)[allowance.id]


def _budget(allowance: Allowance, stands: Standing) -> Budget:
    return Budget(
        allowance.id,
        allowance.level,
        allowance.subject,
        _decimal(allowance.most),
        allowance.currency,
        allowance.window,
        allowance.zone,
        allowance.warn,
        allowance.thrift,
        allowance.stopped,
        _decimal(stands.booked + stands.overrun),
        _decimal(stands.reserved),
        _decimal(stands.presumed),
        stands.resets,
    )


def _decimal(nano: int) -> str:
    return str(Money(nano, "")).strip()


def _limit(allowance: Allowance, stands: Standing) -> Limit:
    return Limit(
        allowance.id,
        allowance.level,
        allowance.subject,
        allowance.unit,
        allowance.most,
        allowance.window,
        allowance.zone,
        allowance.stopped,
        stands.booked + stands.presumed + stands.overrun,
        stands.reserved,
        stands.resets,
    )
