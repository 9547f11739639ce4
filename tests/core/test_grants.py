"""What a grant permits, held against a slow and obvious reading of the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.allowances import Allowance
from dirigent.core.grants import Grant, Scope
from dirigent.core.purposes import LOCAL, Purpose

NAMES = ("gpt-4o", "gpt-4o-mini", "claude", "auto", "secret-plan", "GPT-4o", "g[p]t")
PATTERNS = (*NAMES, "*", "gpt-*", "*-mini", "secret-*", "cl?ude", "[ag]*")

patterns = st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple)
scopes = st.lists(st.builds(Scope, of=st.sampled_from(["the tenant", "the key"]), models=patterns, denied=patterns))
regions = st.none() | st.lists(st.sampled_from(["eu", "us", "ch"]), max_size=2).map(tuple)
purposes = st.none() | st.builds(Purpose, name=st.just("offers"), regions=regions)


def slowly_permitted(scopes: Sequence[Scope], name: str) -> bool:
    """Everybody has to permit it, nobody may deny it, and somebody has to be asked at all."""
    permits = [any(fnmatchcase(name, pattern) for pattern in scope.models) for scope in scopes]
    denies = [any(fnmatchcase(name, pattern) for pattern in scope.denied) for scope in scopes]
    return len(scopes) > 0 and all(permits) and not any(denies)


@given(scopes, st.lists(st.sampled_from(NAMES), min_size=1))
def test_a_model_may_be_asked_exactly_where_every_scope_permits_and_none_denies_it(
    scopes: list[Scope], names: list[str]
) -> None:
    grant = Grant(None, scopes)

    for name in names:
        assert grant.may_ask(name).permitted is slowly_permitted(scopes, name)
        assert grant.may_ask(name).permitted is slowly_permitted(scopes, name)  # and also when it remembers


@given(scopes, scopes, st.sampled_from(NAMES), st.integers(min_value=0))
def test_a_denial_overrides_whatever_else_permits(
    before: list[Scope], after: list[Scope], name: str, place: int
) -> None:
    denying = Scope("the project", models=("*",), denied=("*",))

    grant = Grant(None, [*before, denying, *after])

    assert not grant.may_ask(name).permitted
    assert not grant.may_reach(name, LOCAL).permitted
    assert "denies" in grant.may_ask(name).rule


@given(scopes, purposes, st.sampled_from(NAMES), st.sampled_from([None, LOCAL, "eu", "us", "ch"]))
def test_data_goes_only_where_the_purpose_lets_it_and_nobody_denies_it(
    scopes: list[Scope], purpose: Purpose | None, name: str, region: str | None
) -> None:
    grant = Grant(purpose, scopes)

    denied = any(fnmatchcase(name, pattern) for scope in scopes for pattern in scope.denied)
    bound = purpose is not None and purpose.regions is not None
    within = not bound or region == LOCAL or (purpose is not None and region in (purpose.regions or ()))
    assert grant.may_reach(name, region).permitted is (within and not denied)


@given(scopes, scopes, st.sampled_from(NAMES))
def test_one_more_scope_never_permits_more(scopes: list[Scope], more: list[Scope], name: str) -> None:
    fewer, all_of_them = Grant(None, scopes), Grant(None, [*scopes, *more])

    if scopes and not fewer.may_ask(name).permitted:
        assert not all_of_them.may_ask(name).permitted


def test_nothing_is_permitted_where_no_rule_says_so() -> None:
    ruling = Grant(None, []).may_ask("gpt-4o")

    assert not ruling.permitted
    assert ruling.rule == "no rule permits anything"


def test_the_rule_that_decides_is_named() -> None:
    grant = Grant(
        Purpose("offers", regions=("eu",)),
        [Scope("the tenant acme", ("*",), ("secret-*",)), Scope("the key k-1", ("gpt-*",))],
    )

    assert grant.may_ask("gpt-4o").rule == "the key k-1 permits 'gpt-*'"
    assert grant.may_ask("claude").rule == "the key k-1 permits no model 'claude'"
    assert grant.may_ask("secret-plan").rule == "the tenant acme denies 'secret-*'"
    assert "is in us" in grant.may_reach("gpt-4o", "us").rule
    assert "a region that nobody has named" in grant.may_reach("gpt-4o", None).rule


def test_names_without_end_do_not_fill_the_memory() -> None:
    grant = Grant(None, [Scope("the tenant acme")])

    for number in range(20_000):
        grant.may_ask(f"guess-{number}")

    assert len(grant._asked) <= 10_000
    assert grant.may_ask("guess-19999").permitted


def test_a_call_is_counted_against_all_levels_and_the_model_it_reaches() -> None:
    tenant = Allowance("a-1", "tenant", "acme", "money", 1)
    model = Allowance("a-2", "model", "gpt-4o", "requests", 1)

    grant = Grant(None, [], [tenant], {"gpt-4o": (model,)})

    assert grant.counted("gpt-4o") == (tenant, model)
    assert grant.counted("claude") == (tenant,)
