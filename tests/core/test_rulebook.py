"""A rulebook that has followed all changes says what one says that was made of the rules as they stand."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.allowances import Allowance
from dirigent.core.errors import DirigentError, Forbidden, PurposeRequired
from dirigent.core.identity import Principal
from dirigent.core.purposes import Purpose
from dirigent.core.rulebook import Rulebook
from dirigent.core.rules import (
    AllowanceRule,
    KeyRule,
    MemberRule,
    ProjectRule,
    PurposeRule,
    Rules,
    TenantRule,
)

TENANTS = ("acme", "umbra")
seldom = st.sampled_from([False] * 5 + [True])

tenant_rules = st.builds(TenantRule, name=st.sampled_from(TENANTS), blocked=seldom)
project_rules = st.builds(ProjectRule, tenant=st.sampled_from(TENANTS), name=st.just("sales"), blocked=seldom)
member_rules = st.builds(MemberRule, tenant=st.sampled_from(TENANTS), id=st.just("m"), blocked=seldom)
named_purposes = st.sampled_from(["general", "offers", "letters"])
purpose_rules = st.builds(
    PurposeRule,
    tenant=st.sampled_from(TENANTS),
    purpose=st.builds(Purpose, name=named_purposes, models=st.just(("*",)), blocked=seldom),
    retired=seldom,
)
numbers = st.sampled_from(["1", "2", "3"])
key_rules = st.builds(
    lambda tenant, number, member, purposes, blocked, revoked: KeyRule(
        f"{tenant}-{number}", f"{tenant}-{number}".encode(), tenant, "sales", member, tuple(purposes),
        origin=f"{tenant}-1", blocked=blocked, revoked=revoked,
    ),
    st.sampled_from(TENANTS), numbers, st.sampled_from([None, "m", "m"]),
    st.lists(named_purposes, max_size=2, unique=True),
    seldom, seldom,
)  # fmt: skip
allowance_rules = st.builds(
    lambda tenant, number, whose, removed: AllowanceRule(
        tenant, Allowance(f"{tenant}-{number}-{whose[0]}", whose[0], whose[1].format(tenant), "money", 1), removed
    ),
    st.sampled_from(TENANTS), numbers,
    st.sampled_from([
        ("tenant", "{}"), ("project", "sales"), ("purpose", "general"), ("purpose", "offers"), ("member", "m"),
        ("key", "{}-1"), ("model", "gpt"),
    ]),
    st.booleans(),
)  # fmt: skip
changes = st.lists(
    tenant_rules | project_rules | member_rules | purpose_rules | key_rules | allowance_rules, max_size=25
)

GROUND = Rules(
    tenants=tuple(TenantRule(name) for name in TENANTS),
    projects=tuple(ProjectRule(name, "sales") for name in TENANTS),
    members=tuple(MemberRule(name, "m") for name in TENANTS),
    purposes=tuple(PurposeRule(name, Purpose("general", models=("*",))) for name in TENANTS),
    keys=tuple(KeyRule(f"{name}-1", f"{name}-1".encode(), name, "sales", "m") for name in TENANTS),
)
TABLES = {
    TenantRule: "tenants",
    ProjectRule: "projects",
    MemberRule: "members",
    PurposeRule: "purposes",
    KeyRule: "keys",
    AllowanceRule: "allowances",
}


def one(change: msgspec.Struct, sequence: int) -> Rules:
    """The rules that bring one change."""
    return msgspec.structs.replace(Rules(sequence, whole=False), **{TABLES[type(change)]: (change,)})


def verdict(book: Rulebook, principal: Principal, purpose: str | None) -> object:
    """All that can be seen of a grant; or of the refusal, in its words."""
    try:
        grant = book.grant(principal, purpose)
    except DirigentError as refusal:
        return type(refusal), refusal.message
    return grant.purpose, grant.scopes, sorted(each.id for each in grant.allowances), grant.counted("gpt")[-1:]


def slowly(history: Sequence[msgspec.Struct], principal: Principal, named: str | None) -> object:
    """The same by reading all that ever changed, from the last to the first, as slowly and plainly as can be."""

    def last(kind: type, **marks: object) -> msgspec.Struct | None:
        return next(
            (
                rule
                for rule in reversed(history)
                if type(rule) is kind and all(getattr(rule, field) == value for field, value in marks.items())
            ),
            None,
        )

    tenant = principal.tenant
    key = last(KeyRule, id=principal.key)
    if not isinstance(key, KeyRule) or key.revoked:
        return Forbidden
    if any(
        getattr(rule, "blocked", False)
        for rule in (
            last(TenantRule, name=tenant),
            last(ProjectRule, tenant=tenant, name="sales"),
            last(MemberRule, tenant=tenant, id=key.member) if key.member else None,
            key,
        )
    ):
        return Forbidden
    may = key.purposes or ("general",)
    name = named if named is not None else may[0]
    rules = [
        rule for rule in history if isinstance(rule, PurposeRule) and (rule.tenant, rule.purpose.name) == (tenant, name)
    ]
    if name not in may or not rules or rules[-1].retired:
        return PurposeRequired
    if rules[-1].purpose.blocked:
        return Forbidden
    present = {rule.allowance.id: rule for rule in history if isinstance(rule, AllowanceRule)}
    mine = {
        ("tenant", tenant), ("project", "sales"), ("purpose", name), ("member", key.member),
        ("key", key.origin or key.id),
    }  # fmt: skip
    return rules[-1].purpose, sorted(
        rule.allowance.id
        for rule in present.values()
        if rule.tenant == tenant and not rule.removed and (rule.allowance.level, rule.allowance.subject) in mine
    )


@given(changes)
def test_it_decides_as_a_slow_reading_of_all_changes_does(changes: list[msgspec.Struct]) -> None:
    book = Rulebook.of(GROUND)
    history: list[msgspec.Struct] = [
        *GROUND.tenants, *GROUND.projects, *GROUND.members, *GROUND.purposes, *GROUND.keys
    ]  # fmt: skip

    for sequence, change in enumerate(changes):
        book = book.extended(one(change, sequence))
        history.append(change)
    for tenant in TENANTS:
        for number in "123":
            key = f"{tenant}-{number}"
            principal = book.principals.get(key.encode()) or Principal(tenant, "sales", key)
            for named in (None, "general", "offers", "unheard-of"):
                expected = slowly(history, principal, named)
                seen = verdict(book, principal, named)
                assert isinstance(seen, tuple)
                if isinstance(expected, type):
                    assert seen[0] is expected
                else:
                    assert (seen[0], seen[2]) == expected


@given(changes, st.integers(min_value=0, max_value=25))
def test_changes_may_come_one_by_one_or_all_at_once(changes: list[msgspec.Struct], cut: int) -> None:
    one_by_one = Rulebook.of(GROUND)
    for sequence, change in enumerate(changes):
        one_by_one = one_by_one.extended(one(change, sequence))

    together = Rules(len(changes), whole=False)
    for table in TABLES.values():
        rows = tuple(change for change in changes if TABLES[type(change)] == table)
        together = msgspec.structs.replace(together, **{table: rows})
    at_once = Rulebook.of(GROUND).extended(together)

    assert at_once.principals == one_by_one.principals
    for principal in at_once.principals.values():
        for named in (None, "general", "offers"):
            assert verdict(at_once, principal, named) == verdict(one_by_one, principal, named)


def test_a_rulebook_stays_what_it_was_when_another_follows() -> None:
    before = Rulebook.of(GROUND)

    after = before.extended(one(KeyRule("acme-1", b"acme-1", "acme", "sales", revoked=True), 1))

    assert b"acme-1" in before.principals
    assert b"acme-1" not in after.principals


def test_nothing_crosses_a_tenant() -> None:
    book = Rulebook.of(GROUND).extended(one(AllowanceRule("umbra", Allowance("u", "project", "sales", "money", 1)), 1))
    book = book.extended(one(AllowanceRule("umbra", Allowance("um", "model", "gpt", "money", 1)), 2))

    mine = book.grant(book.principals[b"acme-1"], None)

    assert mine.allowances == ()
    assert mine.counted("gpt") == ()
    assert book.allowances_of_model("acme", "gpt") == ()
    assert [each.id for each in book.allowances_of_model("umbra", "gpt")] == ["um"]


def test_a_purpose_that_the_key_may_not_name_is_refused_with_those_that_it_may() -> None:
    rules = (
        KeyRule("acme-1", b"acme-1", "acme", "sales", purposes=("offers", "letters", "gone")),
        PurposeRule("acme", Purpose("offers", models=("*",))),
        PurposeRule("acme", Purpose("letters", models=("*",))),
    )
    book = Rulebook.of(GROUND)
    for sequence, rule in enumerate(rules):
        book = book.extended(one(rule, sequence))

    with pytest.raises(PurposeRequired) as refused:
        book.grant(book.principals[b"acme-1"], "general")

    assert refused.value.message == "this key may not name the purpose 'general': it may name offers, letters"
    assert refused.value.param == "x-dirigent-purpose"


def test_a_grant_is_worked_out_once() -> None:
    book = Rulebook.of(GROUND)
    principal = book.principals[b"acme-1"]

    assert book.grant(principal, None) is book.grant(principal, None)
