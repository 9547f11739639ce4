"""The rules of all tenants as rows: all of them, or those that have changed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from dirigent.core.allowances import Allowance
from dirigent.core.purposes import Purpose
from dirigent.core.rules import (
    AllowanceRule,
    KeyRule,
    MemberRule,
    ProjectRule,
    PurposeRule,
    RateRule,
    Rules,
    TenantRule,
)
from dirigent.store.pulse import sequence_of

__all__ = ["TOPIC", "rules_since"]

TOPIC = "rights"
"""The topic of the pulse that each change of a rule counts on."""


def rules_since(connection: Connection, since: int, now: int) -> Rules:
    """The rules that have changed after the number `since`; all of them where it is negative, or of another database.

    Keys that were revoked or have expired are among them only as a change.
    """
    present = sequence_of(connection, TOPIC)
    whole = since < 0 or since > present
    if since == present:
        return Rules(sequence=present, whole=False)
    number = -1 if whole else since
    return Rules(
        sequence=present,
        whole=whole,
        tenants=_tenants(connection, number),
        projects=_projects(connection, number),
        members=_members(connection, number),
        keys=_keys(connection, number, now if whole else 0),
        purposes=_purposes(connection, number),
        allowances=_allowances(connection, number),
        rates=_rates(connection, number),
    )


def _tenants(connection: Connection, since: int) -> tuple[TenantRule, ...]:
    rows = connection.execute(
        text("SELECT name, zone, currency, models, denied, blocked FROM tenants WHERE changed > :since"),
        {"since": since},
    )
    return tuple(
        TenantRule(name, zone, currency, names_in(models), names_in(denied), blocked is not None)
        for name, zone, currency, models, denied, blocked in rows
    )


def _projects(connection: Connection, since: int) -> tuple[ProjectRule, ...]:
    rows = connection.execute(
        text("SELECT tenant, name, models, denied, blocked FROM projects WHERE changed > :since"), {"since": since}
    )
    return tuple(
        ProjectRule(tenant, name, names_in(models), names_in(denied), blocked is not None)
        for tenant, name, models, denied, blocked in rows
    )


def _members(connection: Connection, since: int) -> tuple[MemberRule, ...]:
    rows = connection.execute(text("SELECT tenant, id, blocked FROM members WHERE changed > :since"), {"since": since})
    return tuple(MemberRule(tenant, id_, blocked is not None) for tenant, id_, blocked in rows)


def _keys(connection: Connection, since: int, living: int) -> tuple[KeyRule, ...]:
    """Those in force at the time `living`; at time 0 those that are out of force too."""
    rows = connection.execute(
        text("""
            SELECT id, digest, tenant, project, member, purposes, models, denied, origin, expires, blocked, revoked
            FROM virtual_keys
            WHERE changed > :since
              AND (:living = 0 OR (revoked IS NULL AND (expires IS NULL OR expires > :living)))"""),
        {"since": since, "living": living},
    )
    return tuple(
        KeyRule(
            id_,
            bytes(digest),
            tenant,
            project,
            member,
            names_in(purposes),
            names_in(models),
            names_in(denied),
            origin,
            None if expires is None else expires / 1000,
            blocked is not None,
            revoked is not None,
        )
        for id_, digest, tenant, project, member, purposes, models, denied, origin, expires, blocked, revoked in rows
    )


def _purposes(connection: Connection, since: int) -> tuple[PurposeRule, ...]:
    """The last revision of each that has a new one."""
    rows = connection.execute(
        text("""
            SELECT tenant, revision, document, retired FROM purposes AS present
            WHERE changed > :since
              AND revision = (SELECT max(revision) FROM purposes AS each
                              WHERE each.tenant = present.tenant AND each.name = present.name)"""),
        {"since": since},
    )
    return tuple(
        PurposeRule(tenant, purpose_in(document), revision, retired is not None)
        for tenant, revision, document, retired in rows
    )


def _allowances(connection: Connection, since: int) -> tuple[AllowanceRule, ...]:
    rows = connection.execute(
        text("""
            SELECT id, tenant, level, subject, unit, most, span, zone, currency, warn, thrift, stopped, removed, changed
            FROM allowances WHERE changed > :since AND (:since >= 0 OR removed IS NULL)
            ORDER BY created, id"""),
        {"since": since},
    )
    return tuple(AllowanceRule(row.tenant, allowance_of(row), row.removed is not None) for row in rows)


def _rates(connection: Connection, since: int) -> tuple[RateRule, ...]:
    rows = connection.execute(
        text("SELECT tenant, source, target, rate, since FROM rates WHERE changed > :since"), {"since": since}
    )
    return tuple(RateRule(tenant, source, target, rate, at / 1000) for tenant, source, target, rate, at in rows)


def allowance_of(row: Row[Any]) -> Allowance:
    """The allowance that a row of `allowances` tells of."""
    return Allowance(
        id=row.id,
        level=row.level,
        subject=row.subject,
        unit=row.unit,
        most=row.most,
        window=row.span,
        zone=row.zone,
        currency=row.currency,
        stopped=row.stopped is not None,
        warn=row.warn,
        thrift=row.thrift,
        version=row.changed,
        tenant=row.tenant,
    )


@lru_cache(maxsize=4096)
def names_in(document: str) -> tuple[str, ...]:
    """A list of names that is kept as JSON; most rows have one of a few."""
    return msgspec.json.decode(document, type=tuple[str, ...])


@lru_cache(maxsize=4096)
def purpose_in(document: str) -> Purpose:
    """A purpose that is kept as JSON."""
    return msgspec.json.decode(document, type=Purpose)
