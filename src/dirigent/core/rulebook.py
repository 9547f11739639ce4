"""The rulebook: an immutable snapshot of all rules of one moment, and what each principal may by them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import msgspec

from dirigent.core.allowances import Allowance, Level
from dirigent.core.errors import Forbidden, PurposeRequired
from dirigent.core.grants import Grant, Scope
from dirigent.core.identity import Principal
from dirigent.core.purposes import GENERAL, Purpose
from dirigent.core.rules import KeyRule, MemberRule, ProjectRule, Rules, TenantRule

__all__ = ["Rulebook"]

Named = tuple[str, str]
"""A tenant, and a name or an id in it."""
Counted = tuple[str, Level, str]
"""A tenant, a level, and the subject of an allowance there."""
_NOBODY: Mapping[str, tuple[Allowance, ...]] = {}


class _Tables(msgspec.Struct, frozen=True):
    """The rules, found by what they are about."""

    principals: Mapping[bytes, Principal] = {}
    tenants: Mapping[str, TenantRule] = {}
    projects: Mapping[Named, ProjectRule] = {}
    members: Mapping[Named, MemberRule] = {}
    purposes: Mapping[Named, Purpose] = {}
    keys: Mapping[Named, KeyRule] = {}
    allowances: Mapping[str, tuple[Counted, Allowance]] = {}
    counted: Mapping[Counted, tuple[Allowance, ...]] = {}
    of_models: Mapping[str, Mapping[str, tuple[Allowance, ...]]] = {}
    rates: Mapping[tuple[str, str, str], tuple[tuple[float, Fraction], ...]] = {}


class Rulebook:
    """All rules of one moment. What follows from them is worked out where it is first asked for, and kept."""

    __slots__ = ("_grants", "_tables", "principals", "sequence")

    def __init__(self, tables: _Tables | None = None, sequence: int = -1) -> None:
        self._tables = tables or _Tables()
        self._grants: dict[tuple[Principal, str | None], Grant] = {}
        self.sequence = sequence
        """The number of the last change that is in it; negative where it knows no rules yet."""
        self.principals = self._tables.principals
        """On whose behalf each key acts, by the key's digest. A key may be past its time."""

    @classmethod
    def of(cls, rules: Rules) -> Rulebook:
        """The rulebook of these rules alone."""
        return cls().extended(rules)

    def extended(self, rules: Rules) -> Rulebook:
        """This one with what has changed; or only these rules, where they are all that there are."""
        base = _Tables() if rules.whole else self._tables
        keys, principals = _with_keys(base.keys, base.principals, rules)
        allowances, counted = _with_allowances(base.allowances, base.counted, rules)
        tables = _Tables(
            principals=principals,
            tenants={**base.tenants, **{rule.name: rule for rule in rules.tenants}},
            projects={**base.projects, **{(rule.tenant, rule.name): rule for rule in rules.projects}},
            members={**base.members, **{(rule.tenant, rule.id): rule for rule in rules.members}},
            purposes=_with_purposes(base.purposes, rules),
            keys=keys,
            allowances=allowances,
            counted=counted,
            of_models=_by_model(counted) if rules.allowances else base.of_models,
            rates=_with_rates(base.rates, rules),
        )
        return Rulebook(tables, rules.sequence)

    def grant(self, principal: Principal, purpose: str | None) -> Grant:
        """What the principal may do for the purpose that the request names, or else for the one that its key implies.

        Raises PurposeRequired, or Forbidden where the key, or what it belongs to, is out of use.
        """
        grant = self._grants.get((principal, purpose))
        if grant is None:
            grant = self._grants[principal, purpose] = self._granted(principal, purpose)
        return grant

    def allowances_of_model(self, tenant: str, name: str) -> tuple[Allowance, ...]:
        """What all calls of a tenant to the model of this name are counted against."""
        return self._tables.of_models.get(tenant, _NOBODY).get(name, ())

    def rate(self, tenant: str, source: str, target: str, at: float) -> Fraction | None:
        """What one unit of `source` is worth in `target` for a tenant at that time; None where nobody has said."""
        if source == target:
            return Fraction(1)
        if (rate := self._rate(tenant, source, target, at)) is not None:
            return rate
        contrary = self._rate(tenant, target, source, at)
        return None if contrary is None else 1 / contrary

    def _rate(self, tenant: str, source: str, target: str, at: float) -> Fraction | None:
        rates = self._tables.rates.get((tenant, source, target), ())
        return next((rate for since, rate in rates if since <= at), None)

    def _granted(self, principal: Principal, named: str | None) -> Grant:
        name = principal.tenant
        key = self._tables.keys.get((name, principal.key))
        if key is None:
            raise Forbidden(f"the key {principal.key} is no longer valid")
        tenant, project = self._tables.tenants[name], self._tables.projects[name, key.project]
        if tenant.blocked:
            raise Forbidden(f"the tenant {name} is blocked")
        if project.blocked:
            raise Forbidden(f"the project {project.name} is blocked")
        if key.member is not None and self._tables.members[name, key.member].blocked:
            raise Forbidden(f"the member {key.member} is blocked")
        if key.blocked:
            raise Forbidden(f"the key {key.id} is blocked")
        purpose = self._purpose(key, named)
        scopes = (
            Scope(f"the tenant {name}", tenant.models, tenant.denied),
            Scope(f"the project {project.name}", project.models, project.denied),
            Scope(f"the purpose {purpose.name}", purpose.models, purpose.denied),
            Scope(f"the key {key.id}", key.models, key.denied),
        )
        levels: tuple[tuple[Level, str | None], ...] = (
            ("tenant", name),
            ("project", project.name),
            ("purpose", purpose.name),
            ("member", key.member),
            ("key", key.origin or key.id),
        )
        counted = (
            allowance
            for level, subject in levels
            if subject is not None
            for allowance in self._tables.counted.get((name, level, subject), ())
        )
        return Grant(purpose, scopes, tuple(counted), self._tables.of_models.get(name, _NOBODY))

    def _purpose(self, key: KeyRule, named: str | None) -> Purpose:
        may = key.purposes or (GENERAL,)
        name = may[0] if named is None else named
        purpose = self._tables.purposes.get((key.tenant, name)) if name in may else None
        if purpose is None:
            registered = [each for each in may if (key.tenant, each) in self._tables.purposes]
            choice = (
                f"it may name {', '.join(registered)}" if registered else "no purpose that it may name is registered"
            )
            words = (
                f"the purpose {name}, which this key implies, is not registered"
                if named is None
                else f"this key may not name the purpose {name!r}"
            )
            raise PurposeRequired(f"{words}: {choice}", param="x-dirigent-purpose")
        if purpose.blocked:
            raise Forbidden(f"the purpose {purpose.name} is blocked")
        return purpose


def _with_purposes(known: Mapping[Named, Purpose], rules: Rules) -> Mapping[Named, Purpose]:
    if not rules.purposes:
        return known
    purposes = dict(known)
    for rule in rules.purposes:  # of several revisions the last one comes last
        name = (rule.tenant, rule.purpose.name)
        if rule.retired:
            purposes.pop(name, None)
        else:
            purposes[name] = rule.purpose
    return purposes


def _with_keys(
    known: Mapping[Named, KeyRule], principals: Mapping[bytes, Principal], rules: Rules
) -> tuple[Mapping[Named, KeyRule], Mapping[bytes, Principal]]:
    if not rules.keys:
        return known, principals
    keys, found = dict(known), dict(principals)
    for rule in rules.keys:
        name = (rule.tenant, rule.id)
        if rule.revoked:
            keys.pop(name, None)
            found.pop(rule.digest, None)
        else:
            keys[name] = rule
            purposes = rule.purposes or (GENERAL,)
            found[rule.digest] = Principal(rule.tenant, rule.project, rule.id, rule.member, purposes, rule.expires)
    return keys, found


def _with_allowances(
    known: Mapping[str, tuple[Counted, Allowance]], counted: Mapping[Counted, tuple[Allowance, ...]], rules: Rules
) -> tuple[Mapping[str, tuple[Counted, Allowance]], Mapping[Counted, tuple[Allowance, ...]]]:
    if not rules.allowances:
        return known, counted
    allowances, subjects = dict(known), dict(counted)
    for rule in rules.allowances:
        allowance = rule.allowance
        if (before := allowances.pop(allowance.id, None)) is not None:
            subjects[before[0]] = tuple(each for each in subjects[before[0]] if each.id != allowance.id)
        if not rule.removed:
            subject = (rule.tenant, allowance.level, allowance.subject)
            allowances[allowance.id] = (subject, allowance)
            subjects[subject] = (*subjects.get(subject, ()), allowance)
    return allowances, subjects


def _by_model(
    counted: Mapping[Counted, tuple[Allowance, ...]],
) -> Mapping[str, Mapping[str, tuple[Allowance, ...]]]:
    found: dict[str, dict[str, tuple[Allowance, ...]]] = {}
    for (tenant, level, subject), allowances in counted.items():
        if level == "model" and allowances:
            found.setdefault(tenant, {})[subject] = allowances
    return found


def _with_rates(
    known: Mapping[tuple[str, str, str], tuple[tuple[float, Fraction], ...]], rules: Rules
) -> Mapping[tuple[str, str, str], tuple[tuple[float, Fraction], ...]]:
    rates = dict(known)
    for rule in rules.rates:
        pair = (rule.tenant, rule.source, rule.target)
        others = tuple(each for each in rates.get(pair, ()) if each[0] != rule.since)
        rates[pair] = tuple(sorted((*others, (rule.since, Fraction(Decimal(rule.rate)))), reverse=True))
    return rates
