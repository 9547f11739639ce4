"""Operations on tenants, projects and members."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dirigent.control.desk import Taken, Unknown
from dirigent.control.people import Invitation, MemberBlock, MemberChange, MemberPassword
from dirigent.control.permissions import Actor
from dirigent.core.errors import Forbidden, Invalid
from dirigent.store.keys import digest
from dirigent.store.people import verify_password
from dirigent.store.sessions import open_session, session_of
from tests.control.office import Office

SECRET = "correct horse battery"


def signed_in(office: Office, member: str) -> str:
    now = int(office.now * 1000)
    return office.database.write(lambda found: open_session(found, "default", member, now, 3_600_000))


def is_signed_in(office: Office, token: str) -> bool:
    now = int(office.now * 1000)
    return office.database.read(lambda found: session_of(found, token, now, 3_600_000)) is not None


def test_a_tenant_begins_with_a_project_and_a_purpose_so_that_its_first_key_works(office: Office) -> None:
    office.does("tenants.create", name="acme", zone="Europe/Berlin", currency="EUR")

    issued = office.does("keys.issue", tenant="acme")

    rights = office.follow()
    principal = rights.principal(digest(issued.key))
    assert principal is not None
    assert (principal.tenant, principal.project) == ("acme", "default")
    assert rights.grant(principal, None).may_ask("gpt-4o").permitted
    assert [tenant.name for tenant in office.does("tenants.list").tenants] == ["acme", "default"]


def test_a_blocked_tenant_is_refused_by_its_name_until_that_is_lifted(office: Office) -> None:
    principal = office.rights.principal(digest("dk-first"))
    assert principal is not None

    office.does("tenants.block", name="default")
    with pytest.raises(Forbidden, match="the tenant default is blocked"):
        office.follow().grant(principal, None)
    office.does("tenants.block", name="default", lift=True)

    assert office.follow().grant(principal, None).may_ask("gpt-4o").permitted


def test_a_tenant_may_move_to_another_zone_and_currency_and_what_it_denies_counts(office: Office) -> None:
    budget = office.does("budgets.set", limit="5")
    principal = office.rights.principal(digest("dk-first"))
    assert principal is not None

    changed = office.does("tenants.update", name="default", zone="Europe/Berlin", currency="EUR", denied=["gpt-*"])
    later = office.does("budgets.set", limit="5", window="day")

    assert (changed.zone, changed.currency, changed.models) == ("Europe/Berlin", "EUR", ("*",))
    assert (budget.zone, budget.currency) == ("UTC", "USD")
    assert (later.zone, later.currency) == ("Europe/Berlin", "EUR")
    assert office.follow().grant(principal, None).may_ask("gpt-4o").rule == "the tenant default denies 'gpt-*'"
    with pytest.raises(Unknown):
        office.does("tenants.update", name="nobody")


def test_no_member_makes_or_lists_tenants_not_even_an_owner(office: Office) -> None:
    with pytest.raises(Forbidden):
        office.does("tenants.list", by="owner")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "/etc/localtime"])
def test_a_zone_that_does_not_exist_is_refused(office: Office, zone: str) -> None:
    with pytest.raises(Invalid, match="is no IANA time zone"):
        office.does("tenants.create", name="acme", zone=zone)


@pytest.mark.parametrize("name", ["", "Sales", "a b", "-a", "a\n", "a/b", "ä", "a" * 65, "../a"])
def test_names_are_plain(office: Office, name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        office.does("projects.create", name=name)


def test_what_a_project_permits_follows_its_changes(office: Office) -> None:
    office.does("projects.create", name="sales", models=["gpt-*"])
    issued = office.does("keys.issue", project="sales")
    principal = office.follow().principal(digest(issued.key))
    assert principal is not None

    before = office.rights.grant(principal, None).may_ask("claude")
    office.does("projects.update", name="sales", models=["*"], denied=["gpt-*"])
    after = office.follow().grant(principal, None)

    assert before.rule == "the project sales permits no model 'claude'"
    assert after.may_ask("claude").permitted
    assert after.may_ask("gpt-4o").rule == "the project sales denies 'gpt-*'"


def test_a_name_that_is_taken_is_refused_and_nothing_changes(office: Office) -> None:
    office.does("projects.create", name="sales", models=["gpt-*"])

    with pytest.raises(Taken, match="there is a project 'sales' already"):
        office.does("projects.create", name="sales")

    (project,) = [each for each in office.does("projects.list").projects if each.name == "sales"]
    assert project.models == ("gpt-*",)


def test_a_project_of_another_tenant_is_unknown(office: Office) -> None:
    office.does("tenants.create", name="acme")
    office.does("projects.create", tenant="acme", name="secret")

    with pytest.raises(Unknown, match="there is no project 'secret'"):
        office.does("projects.update", name="secret", title="ours now")


def test_a_member_is_invited_and_signs_in_with_the_password(office: Office) -> None:
    member = office.does("members.invite", name="Erika", email="Erika@Example.com", role="operator", password=SECRET)

    found = office.database.read(lambda found: verify_password(found, "default", "erika@example.com", SECRET))

    assert found == member
    assert {each.id for each in office.does("members.list").members} == {"operator", member.id}


def test_two_members_do_not_share_an_address(office: Office) -> None:
    office.does("members.invite", name="Erika", email="erika@example.com")
    other = office.does("members.invite", name="Max", email="max@example.com")

    with pytest.raises(Taken, match="address"):
        office.does("members.invite", name="Erich", email="ERIKA@example.com")
    with pytest.raises(Taken, match="address"):
        office.does("members.update", id=other.id, email="erika@example.com")


def test_only_an_owner_makes_or_changes_an_owner(office: Office) -> None:
    admin = Actor("member", "m-admin", "admin", "default")

    for name, order in (
        ("members.invite", Invitation("Eve", "eve@example.com", "owner")),
        ("members.block", MemberBlock("operator")),
        ("members.password", MemberPassword("operator", SECRET)),
        ("members.update", MemberChange("operator", role="viewer")),
    ):
        with pytest.raises(Forbidden, match="of the role owner"):
            office.plane.perform(name, admin, order)

    assert [member.role for member in office.does("members.list").members] == ["owner"]


@pytest.mark.parametrize(
    "change",
    [("members.update", {"role": "admin"}), ("members.block", {}), ("members.password", {"password": SECRET})],
)
def test_who_gets_another_role_or_password_or_is_blocked_is_signed_out(
    office: Office, change: tuple[str, dict[str, Any]]
) -> None:
    member = office.does("members.invite", name="Erika", email="erika@example.com", role="viewer")
    token = signed_in(office, member.id)
    name, order = change

    before = is_signed_in(office, token)
    office.does(name, id=member.id, **order)

    assert before
    assert not is_signed_in(office, token)


def test_a_password_is_in_no_line_of_the_audit_and_in_no_repr(office: Office) -> None:
    member = office.does("members.invite", name="Erika", email="erika@example.com", password=SECRET)
    office.does("members.password", id=member.id, password=SECRET + "!")

    written = repr(office.audit) + repr(member)

    assert SECRET not in written
    assert "Erika" not in repr(office.audit)
    assert "erika@" not in repr(office.audit)
    assert SECRET not in repr(MemberPassword("m", SECRET)) + repr(Invitation("E", "e@example.com", password=SECRET))


def test_a_password_of_a_few_letters_is_refused(office: Office) -> None:
    with pytest.raises(msgspec.ValidationError):
        office.does("members.invite", name="Erika", email="erika@example.com", password="short")
