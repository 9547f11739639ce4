"""What nodes load of the rules: everything once, and from then on what has changed."""

from __future__ import annotations

from time import perf_counter

import msgspec
import pytest

from dirigent.core.errors import Forbidden, PurposeRequired
from dirigent.core.purposes import Purpose
from dirigent.core.rules import Rules
from dirigent.memory.rights import MemoryRights
from dirigent.store import Database
from dirigent.store.allowances import Rate, keep_allowance, keep_rate, remove_allowance
from dirigent.store.keys import digest, keep_key, key_of
from dirigent.store.people import keep_member, keep_project, member_of, project_named
from dirigent.store.pulse import bump
from dirigent.store.purposes import Registered, keep_purpose
from dirigent.store.rights import TOPIC, rules_since
from tests.store.ground import NOW, a_key, an_allowance, settle_in


@pytest.fixture
def settled(database: Database) -> Database:
    database.write(settle_in)
    return database


def loaded(database: Database, since: int = -1, now: int = NOW) -> Rules:
    return database.read(lambda found: rules_since(found, since, now))


def followed(database: Database, rights: MemoryRights) -> MemoryRights:
    rights.take(loaded(database, rights.book.sequence))
    return rights


def test_a_key_acts_for_its_project_and_purpose_by_the_rules_of_all_levels(settled: Database) -> None:
    rights = MemoryRights(loaded(settled), clock=lambda: NOW / 1000)

    principal = rights.principal(digest("k-1"))
    assert principal is not None
    grant = rights.grant(principal, None)

    assert (principal.tenant, principal.project, principal.member) == ("acme", "sales", "m-1")
    assert [scope.of for scope in grant.scopes] == [
        "the tenant acme", "the project sales", "the purpose offers", "the key k-1",
    ]  # fmt: skip
    assert [allowance.id for allowance in grant.allowances] == ["a-1"]
    assert grant.may_ask("gpt-4o").permitted
    assert not grant.may_ask("claude").permitted
    assert not grant.may_reach("secret-plan", "eu").permitted


def test_the_first_key_works_with_nothing_but_a_folder(settled: Database) -> None:
    rights = MemoryRights(loaded(settled), clock=lambda: NOW / 1000)

    principal = rights.principal(digest("dk-first"))

    assert principal is not None
    assert rights.grant(principal, None).may_ask("anything").permitted
    assert rights.grant(principal, "general").may_reach("anything", None).permitted


def test_only_what_has_changed_is_loaded_again(settled: Database) -> None:
    before = loaded(settled)

    settled.write(lambda found: keep_key(found, a_key("k-2"), bump(found, TOPIC)))
    after = loaded(settled, before.sequence)

    assert before.whole
    assert not after.whole
    assert [key.id for key in after.keys] == ["k-2"]
    assert (after.tenants, after.projects, after.members, after.purposes, after.allowances) == ((), (), (), (), ())
    assert loaded(settled, after.sequence) == Rules(after.sequence, whole=False)


def test_a_database_that_was_restored_is_loaded_as_a_whole(settled: Database) -> None:
    assert loaded(settled, since=1_000_000).whole


def test_whoever_follows_knows_what_whoever_begins_anew_would_know(settled: Database) -> None:
    rights = MemoryRights(loaded(settled), clock=lambda: NOW / 1000)

    settled.write(lambda found: keep_key(found, a_key("k-2", purposes=("offers",)), bump(found, TOPIC)))
    followed(settled, rights)
    settled.write(lambda found: keep_key(found, msgspec.structs.replace(a_key("k-1"), revoked=NOW), bump(found, TOPIC)))
    followed(settled, rights)
    settled.write(lambda found: keep_allowance(found, an_allowance("a-2", "key", "k-2"), NOW, bump(found, TOPIC)))
    followed(settled, rights)
    settled.write(lambda found: remove_allowance(found, "acme", "a-1", NOW, bump(found, TOPIC)))
    followed(settled, rights)
    settled.write(
        lambda found: keep_purpose(found, Registered("acme", Purpose("offers", models=("x",)), 2), bump(found, TOPIC))
    )
    followed(settled, rights)
    anew = MemoryRights(loaded(settled), clock=lambda: NOW / 1000)

    for each in (rights, anew):
        assert each.principal(digest("k-1")) is None
        principal = each.principal(digest("k-2"))
        assert principal is not None
        grant = each.grant(principal, None)
        assert grant.purpose == Purpose("offers", models=("x",))
        assert [allowance.id for allowance in grant.allowances] == ["a-2"]


def test_what_is_blocked_is_named(settled: Database) -> None:
    rights = MemoryRights(loaded(settled), clock=lambda: NOW / 1000)
    principal = rights.principal(digest("k-1"))
    assert principal is not None

    def block_project() -> None:
        project = settled.read(lambda found: project_named(found, "acme", "sales"))
        assert project is not None
        blocked = msgspec.structs.replace(project, blocked=NOW)
        settled.write(lambda found: keep_project(found, blocked, bump(found, TOPIC)))

    block_project()
    with pytest.raises(Forbidden, match="the project sales is blocked"):
        followed(settled, rights).grant(principal, None)


def test_a_blocked_member_takes_its_keys_along(settled: Database) -> None:
    rights = MemoryRights(loaded(settled), clock=lambda: NOW / 1000)
    principal = rights.principal(digest("k-1"))
    member = settled.read(lambda found: member_of(found, "acme", "m-1"))
    assert principal is not None
    assert member is not None

    blocked = msgspec.structs.replace(member, blocked=NOW)
    settled.write(lambda found: keep_member(found, blocked, bump(found, TOPIC)))

    with pytest.raises(Forbidden, match="the member m-1 is blocked"):
        followed(settled, rights).grant(principal, None)


def test_a_retired_purpose_is_gone(settled: Database) -> None:
    rights = MemoryRights(loaded(settled), clock=lambda: NOW / 1000)
    principal = rights.principal(digest("k-1"))
    assert principal is not None

    retired = Registered("acme", Purpose("offers"), 2, NOW, NOW)
    settled.write(lambda found: keep_purpose(found, retired, bump(found, TOPIC)))

    with pytest.raises(PurposeRequired, match="no purpose that it may name is registered"):
        followed(settled, rights).grant(principal, None)


def test_a_key_ends_by_the_clock_without_being_told(settled: Database) -> None:
    now = [NOW / 1000]
    settled.write(lambda found: keep_key(found, a_key("k-2", expires=NOW + 5_000), bump(found, TOPIC)))
    rights = MemoryRights(loaded(settled), clock=lambda: now[0])

    early = rights.principal(digest("k-2"))
    now[0] += 5
    late = rights.principal(digest("k-2"))

    assert early is not None
    assert late is None
    assert digest("k-2") not in {key.digest for key in loaded(settled, now=NOW + 5_000).keys}


def test_rates_count_from_their_moment_on_and_the_other_way_round(settled: Database) -> None:
    now = [NOW / 1000]
    settled.write(lambda found: keep_rate(found, Rate("acme", "USD", "EUR", "0.80", NOW), bump(found, TOPIC)))
    settled.write(lambda found: keep_rate(found, Rate("acme", "USD", "EUR", "0.9", NOW + 1000), bump(found, TOPIC)))
    rights = MemoryRights(loaded(settled), clock=lambda: now[0])

    first = rights.rate("acme", "USD", "EUR")
    now[0] += 2
    second = rights.rate("acme", "EUR", "USD")

    assert str(first) == "4/5"
    assert str(second) == "10/9"
    assert rights.rate("default", "USD", "EUR") is None
    assert rights.rate("default", "USD", "USD") == 1


@pytest.mark.parametrize("many", [1_000, pytest.param(10_000, marks=pytest.mark.prove)])
def test_thousands_of_keys_are_loaded_at_once_and_one_of_them_changes_in_no_time(settled: Database, many: int) -> None:
    def issue_many(connection: object) -> None:
        changed = bump(connection, TOPIC)  # type: ignore[arg-type]
        for number in range(many):
            keep_key(connection, a_key(f"k-{number}x", purposes=("offers",)), changed)  # type: ignore[arg-type]

    settled.write(issue_many)

    begun = perf_counter()
    rights = MemoryRights(loaded(settled))
    whole = perf_counter() - begun
    settled.write(lambda found: keep_key(found, a_key("k-5x", revoked=NOW), bump(found, TOPIC)))
    begun = perf_counter()
    followed(settled, rights)
    change = perf_counter() - begun

    assert len(rights.book.principals) == many + 1
    assert whole < 60
    assert change < 30


def test_what_is_kept_of_a_key_is_not_the_key(settled: Database) -> None:
    key = settled.read(lambda found: key_of(found, "acme", "k-1"))

    assert key is not None
    assert key.digest == digest("k-1")
    assert "k-1" not in key.digest.hex()
