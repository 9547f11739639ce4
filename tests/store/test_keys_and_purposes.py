"""Keys, purposes, allowances and rates as the database keeps them, and what an empty one begins with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import msgspec
import pytest

from dirigent.core.purposes import Purpose, Retention
from dirigent.store import Database
from dirigent.store.allowances import (
    Rate,
    allowance_named,
    allowances,
    keep_allowance,
    keep_rate,
    rates,
    remove_allowance,
)
from dirigent.store.beginning import bootstrap
from dirigent.store.keys import digest, keep_key, key_known, key_of, keys, new_key, successor_of
from dirigent.store.people import members, projects, tenants
from dirigent.store.pulse import sequence_of
from dirigent.store.purposes import Registered, keep_purpose, purpose_named, purposes, revisions_of
from dirigent.store.rights import TOPIC
from tests.store.ground import NOW, a_key, an_allowance, settle_in


@pytest.fixture
def settled(database: Database) -> Database:
    database.write(settle_in)
    return database


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_kept_with_all_it_is_bound_to(settled: Database) -> None:
    key = a_key(
        "k-2", member="m-1", title="for the shop", purposes=("offers", "general"), models=("gpt-*",), denied=("x",),
        origin="k-1", replaces="k-1", expires=NOW + 1, revoked=NOW, blocked=NOW,
    )  # fmt: skip

    settled.write(lambda found: keep_key(found, key, 9))

    assert settled.read(lambda found: key_of(found, "acme", "k-2")) == key
    assert settled.read(lambda found: key_of(found, "default", "k-2")) is None


def test_what_a_key_is_never_changes(settled: Database) -> None:
    settled.write(lambda found: keep_key(found, a_key("k-1", digest=digest("stolen"), project="sales"), 9))

    kept = settled.read(lambda found: key_of(found, "acme", "k-1"))

    assert kept is not None
    assert kept.digest == digest("k-1")


def test_keys_are_listed_by_project_member_and_whether_they_count(settled: Database) -> None:
    settled.write(lambda found: keep_key(found, a_key("k-2", revoked=NOW, created=NOW + 1), 9))
    settled.write(lambda found: keep_key(found, a_key("k-3", expires=NOW + 5, created=NOW + 2), 9))

    def listed(**by: object) -> list[str]:
        return [key.id for key in settled.read(lambda found: keys(found, "acme", **by))]  # type: ignore[arg-type]

    assert listed() == ["k-3", "k-2", "k-1"]
    assert listed(project="sales") == ["k-3", "k-2", "k-1"]
    assert listed(project="others") == []
    assert listed(member="m-1") == ["k-1"]
    assert listed(now=NOW) == ["k-3", "k-1"]
    assert listed(now=NOW + 5) == ["k-1"]


def test_the_state_of_a_key_is_the_hardest_of_them() -> None:
    states = [
        a_key("k").state(NOW),
        a_key("k", blocked=1).state(NOW),
        a_key("k", blocked=1, expires=NOW).state(NOW),
        a_key("k", blocked=1, expires=NOW, revoked=1).state(NOW),
    ]

    assert states == ["live", "blocked", "expired", "revoked"]


def test_the_successor_of_a_key_is_known_until_it_is_revoked(settled: Database) -> None:
    old = a_key("k-1")
    settled.write(lambda found: keep_key(found, a_key("k-2", replaces="k-1"), 9))

    first = settled.read(lambda found: successor_of(found, old))
    settled.write(lambda found: keep_key(found, a_key("k-2", replaces="k-1", revoked=NOW), 10))

    assert first == "k-2"
    assert settled.read(lambda found: successor_of(found, old)) is None


def test_each_new_key_is_another() -> None:
    made = {new_key()[0] for _ in range(1_000)}

    assert len(made) == 1_000
    assert all(key.startswith("dk-") and len(key) == 46 for key in made)


# --- purposes ---------------------------------------------------------------------------------------------------------


def test_each_change_of_a_purpose_is_a_revision_and_all_are_kept(settled: Database) -> None:
    purpose = Purpose(
        "offers", "Offers for customers", "contract", ("personal",), ("customers",), ("gpt-*",), ("gpt-4",), ("eu",),
        Retention(30, 400), "Erika", date(2027, 1, 1), blocked=True,
    )  # fmt: skip

    settled.write(lambda found: keep_purpose(found, Registered("acme", purpose, 2, NOW), 9))
    settled.write(lambda found: keep_purpose(found, Registered("acme", purpose, 3, NOW + 1, retired=NOW + 1), 10))

    history = settled.read(lambda found: revisions_of(found, "acme", "offers"))
    assert [each.revision for each in history] == [3, 2, 1]
    assert history[1] == Registered("acme", purpose, 2, NOW)
    assert settled.read(lambda found: purpose_named(found, "acme", "offers")) == history[0]
    assert settled.read(lambda found: purposes(found, "acme")) == [history[0]]
    assert settled.read(lambda found: purpose_named(found, "default", "offers")) is None


# --- allowances -------------------------------------------------------------------------------------------------------


def test_an_allowance_is_kept_and_only_its_amount_and_its_marks_change(settled: Database) -> None:
    budget = an_allowance("a-2", "key", "k-1", most=2**62, warn=70, thrift=85)
    settled.write(lambda found: keep_allowance(found, budget, NOW, 9))
    changed = msgspec.structs.replace(budget, most=1, stopped=True, warn=1, thrift=2, currency="USD", window="day")

    settled.write(lambda found: keep_allowance(found, changed, NOW, 10))

    kept = settled.read(lambda found: allowance_named(found, "acme", "a-2"))
    assert kept == msgspec.structs.replace(budget, most=1, stopped=True, warn=1, thrift=2, version=10)
    assert settled.read(lambda found: allowance_named(found, "default", "a-2")) is None


def test_allowances_are_found_by_level_subject_and_unit(settled: Database) -> None:
    settled.write(lambda found: keep_allowance(found, an_allowance("a-2", "key", "k-1", unit="tokens"), NOW, 9))

    def listed(**by: object) -> list[str]:
        return [each.id for each in settled.read(lambda found: allowances(found, "acme", **by))]  # type: ignore[arg-type]

    assert listed() == ["a-1", "a-2"]
    assert listed(level="key") == ["a-2"]
    assert listed(level="key", subject="k-9") == []
    assert listed(units=("money",)) == ["a-1"]


def test_a_removed_allowance_is_gone_for_everybody_who_looks(settled: Database) -> None:
    settled.write(lambda found: remove_allowance(found, "default", "a-1", NOW, 9))  # another tenant's: nothing happens
    still = settled.read(lambda found: allowance_named(found, "acme", "a-1"))

    settled.write(lambda found: remove_allowance(found, "acme", "a-1", NOW, 10))

    assert still is not None
    assert settled.read(lambda found: allowance_named(found, "acme", "a-1")) is None
    assert settled.read(lambda found: allowances(found, "acme")) == []


def test_rates_are_kept_from_moment_to_moment(settled: Database) -> None:
    first, later = Rate("acme", "USD", "EUR", "0.90", NOW), Rate("acme", "USD", "EUR", "0.91", NOW + 1)

    for rate in (first, later, msgspec.structs.replace(first, rate="0.89")):
        settled.write(lambda found, rate=rate: keep_rate(found, rate, 9))  # type: ignore[misc]

    assert settled.read(lambda found: rates(found, "acme")) == [later, msgspec.structs.replace(first, rate="0.89")]
    assert settled.read(lambda found: rates(found, "default")) == []


# --- the beginning ----------------------------------------------------------------------------------------------------


def test_an_empty_database_begins_with_all_that_a_first_request_needs(database: Database) -> None:
    database.write(lambda found: bootstrap(found, digest("dk-first"), NOW, "dk-firs"))

    assert [tenant.name for tenant in database.read(tenants)] == ["default"]
    assert [project.name for project in database.read(lambda found: projects(found, "default"))] == ["default"]
    assert [(one.id, one.role) for one in database.read(lambda found: members(found, "default"))] == [
        ("operator", "owner")
    ]
    assert [one.purpose.name for one in database.read(lambda found: purposes(found, "default"))] == ["general"]
    assert [(one.id, one.hint) for one in database.read(lambda found: keys(found, "default"))] == [("first", "dk-firs")]


def test_beginning_again_changes_nothing_not_even_the_pulse(database: Database) -> None:
    database.write(lambda found: bootstrap(found, digest("dk-first"), NOW))
    before = database.read(lambda found: sequence_of(found, TOPIC))

    database.write(lambda found: bootstrap(found, digest("dk-first"), NOW + 1))

    assert database.read(lambda found: sequence_of(found, TOPIC)) == before


def test_a_first_key_that_was_revoked_stays_so(database: Database) -> None:
    database.write(lambda found: bootstrap(found, digest("dk-first"), NOW))
    first = database.read(lambda found: key_of(found, "default", "first"))
    assert first is not None
    database.write(lambda found: keep_key(found, msgspec.structs.replace(first, revoked=NOW), 2))

    database.write(lambda found: bootstrap(found, digest("dk-first"), NOW + 1))

    assert [key.state(NOW) for key in database.read(lambda found: keys(found, "default"))] == ["revoked"]


def test_nodes_with_folders_of_their_own_begin_at_once_and_each_key_is_known(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(database.write, lambda found, number=number: bootstrap(found, digest(f"dk-{number}"), NOW))

    assert len(database.read(tenants)) == 1
    assert all(
        database.read(lambda found, number=number: key_known(found, digest(f"dk-{number}")))  # type: ignore[misc]
        for number in range(4)
    )
    assert len({key.id for key in database.read(lambda found: keys(found, "default"))}) == 4
