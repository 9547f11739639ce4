"""Tenants, projects and members as the database keeps them."""

from __future__ import annotations

from time import process_time

import msgspec
import pytest
from sqlalchemy import text

from dirigent.core.identity import Role
from dirigent.store import Database
from dirigent.store.people import (
    Member,
    Project,
    Tenant,
    hashed,
    keep_member,
    keep_password,
    keep_project,
    keep_tenant,
    member_named,
    member_of,
    member_outside,
    members,
    project_named,
    projects,
    tenant_named,
    tenants,
    verify_password,
)
from tests.store.ground import NOW, settle_in

SECRET = "correct horse battery"


@pytest.fixture
def settled(database: Database) -> Database:
    database.write(settle_in)
    return database


def test_a_tenant_is_kept_as_it_was_given_and_changes_as_a_whole(settled: Database) -> None:
    acme = Tenant("acme", "Acme AG", "Europe/Zurich", "CHF", ("gpt-*", "auto"), ("secret-*",), blocked=NOW, created=7)

    settled.write(lambda found: keep_tenant(found, acme, 9))

    created = settled.read(lambda found: tenant_named(found, "acme"))
    assert created == msgspec.structs.replace(acme, created=0)  # when it was made does not change
    assert [tenant.name for tenant in settled.read(tenants)] == ["acme", "default"]
    assert settled.read(lambda found: tenant_named(found, "nobody")) is None


def test_projects_of_the_same_name_in_two_tenants_are_two(settled: Database) -> None:
    settled.write(lambda found: keep_project(found, Project("default", "sales", "Their own", models=("x",)), 9))

    ours = settled.read(lambda found: project_named(found, "acme", "sales"))
    theirs = settled.read(lambda found: project_named(found, "default", "sales"))

    assert ours is not None
    assert theirs is not None
    assert (ours.models, theirs.models) == (("gpt-*", "auto"), ("x",))
    assert [project.name for project in settled.read(lambda found: projects(found, "acme"))] == ["sales"]


@pytest.mark.parametrize("role", ["owner", "privacy_officer"])
def test_a_member_is_found_by_id_by_address_and_by_whom_else_it_is_known(settled: Database, role: Role) -> None:
    max_ = Member("acme", "m-2", "Max", role, email="Max@Example.com", external="https://idp.example max")

    settled.write(lambda found: keep_member(found, max_, 9))

    kept = msgspec.structs.replace(max_, email="max@example.com")
    assert settled.read(lambda found: member_of(found, "acme", "m-2")) == kept
    assert settled.read(lambda found: member_named(found, "acme", " MAX@example.COM ")) == kept
    assert settled.read(lambda found: member_outside(found, "acme", "https://idp.example max")) == kept
    assert settled.read(lambda found: member_of(found, "default", "m-2")) is None
    assert {member.id for member in settled.read(lambda found: members(found, "acme"))} == {"m-1", "m-2"}


def test_a_password_opens_for_its_member_alone(settled: Database) -> None:
    settled.write(lambda found: keep_password(found, "acme", "m-1", hashed(SECRET)))

    found = settled.read(lambda found: verify_password(found, "acme", "erika@example.com", SECRET))

    assert found is not None
    assert (found.id, found.password) == ("m-1", True)
    for tenant, email, password in (
        ("acme", "erika@example.com", "correct horse"),
        ("acme", "nobody@example.com", SECRET),
        ("acme", "nobody@example.com", ""),
        ("acme", "erika@example.com", ""),
        ("default", "erika@example.com", SECRET),
    ):
        assert (
            settled.read(lambda found, of=(tenant, email, password): verify_password(found, *of)) is None  # type: ignore[misc]
        )


def test_a_member_without_a_password_or_blocked_does_not_sign_in(settled: Database) -> None:
    without = settled.read(lambda found: verify_password(found, "acme", "erika@example.com", ""))
    settled.write(lambda found: keep_password(found, "acme", "m-1", hashed(SECRET)))
    member = settled.read(lambda found: member_of(found, "acme", "m-1"))
    assert member is not None

    settled.write(lambda found: keep_member(found, msgspec.structs.replace(member, blocked=NOW), 9))
    blocked = settled.read(lambda found: verify_password(found, "acme", "erika@example.com", SECRET))

    assert (without, blocked) == (None, None)


def test_an_unknown_address_takes_as_long_as_a_wrong_password(settled: Database) -> None:
    settled.write(lambda found: keep_password(found, "acme", "m-1", hashed(SECRET)))

    def fastest(email: str) -> float:
        times = []
        for _ in range(2):
            begun = process_time()
            settled.read(lambda found: verify_password(found, "acme", email, "wrong"))
            times.append(process_time() - begun)
        return min(times)

    known, unknown = fastest("erika@example.com"), fastest("nobody@example.com")

    assert unknown > known / 4  # a hash takes tens of milliseconds, and a mere look-up less than one


def test_nothing_of_a_password_is_kept_in_clear(settled: Database) -> None:
    settled.write(lambda found: keep_password(found, "acme", "m-1", hashed(SECRET)))

    kept = settled.read(lambda found: found.execute(text("SELECT password FROM members WHERE id = 'm-1'")).scalar())

    assert str(kept).startswith("$argon2id$")
    assert SECRET not in str(kept)
