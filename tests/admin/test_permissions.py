"""Every operation for every role, by the table: who may, may; who may not, is refused, and that is audited."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dirigent.control import OPERATIONS
from dirigent.control.permissions import PERMISSIONS
from dirigent.core.identity import ROLES, Role
from dirigent.store.audit import entries
from tests.admin.house import Browser, House, house
from tests.postgres import a_database


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("permissions")) as one:
        yield one


@pytest.fixture(scope="module")
def signed_in(served: House) -> dict[Role, Browser]:
    return {role: served.browser(role) for role in ROLES}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_role_may_what_the_table_says_and_nothing_else(
    served: House, signed_in: dict[Role, Browser], name: str, role: Role
) -> None:
    permitted = role in PERMISSIONS[OPERATIONS[name].permission]

    answer = signed_in[role].perform(name)

    if permitted:
        assert answer.status in {200, 400, 404, 409}, answer.body
        return
    assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")
    (line,) = served.database.read(lambda connection: entries(connection, "default", limit=1))
    assert (line.action, line.decision, line.actor) == (name, "denied", f"member:m-{role}-default")


@pytest.mark.parametrize("name", OPERATIONS)
def test_whoever_holds_the_data_folder_may_everything(served: House, name: str) -> None:
    assert served.perform(name).status in {200, 400, 404, 409}


@pytest.mark.parametrize("name", OPERATIONS)
def test_nobody_may_anything(served: House, name: str) -> None:
    assert served.perform(name, key=None).status == 401


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if each.changes])
def test_no_change_is_made_without_the_sessions_token(signed_in: dict[Role, Browser], name: str) -> None:
    browser = signed_in["owner"]

    answer = browser.house.perform(name, key=None, headers={"cookie": browser.cookie})

    assert (answer.status, answer.json["error"]["code"]) == (403, "csrf")


def test_an_admin_can_neither_make_nor_change_an_owner(served: House, signed_in: dict[Role, Browser]) -> None:
    admin, owner = signed_in["admin"], "m-owner-default"

    made = admin.perform("members.invite", {"name": "Eve", "email": "eve@example.org", "role": "owner"})
    risen = admin.perform("members.update", {"id": "m-admin-default", "role": "owner"})
    locked_out = admin.perform("members.block", {"id": owner})
    taken_over = admin.perform("members.password", {"id": owner, "password": "a new one, and long"})

    assert {each.status for each in (made, risen, locked_out, taken_over)} == {403}
    assert signed_in["owner"].perform("members.list").status == 200


def test_nothing_of_another_tenant_is_seen_or_touched(served: House, signed_in: dict[Role, Browser]) -> None:
    issued = signed_in["owner"].perform("projects.create", {"name": "secret-project"})
    assert issued.status == 200
    served.perform("tenants.create", {"name": "acme"})
    stranger = served.browser("owner", "acme")

    listed = stranger.perform("projects.list")
    changed = stranger.perform("projects.update", {"name": "secret-project", "title": "mine"})

    assert [each["name"] for each in listed.json["projects"]] == ["default"]
    assert (changed.status, changed.json["error"]["code"]) == (404, "not_found")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[House]:
    """A house on PostgreSQL."""
    with a_database(postgres) as url, house(tmp_path_factory.mktemp("shared") / "data", url=url) as one:
        yield one


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_carried_out_or_refused_on_postgresql_as_well(shared: House, name: str) -> None:
    assert shared.perform(name).status in {200, 400, 404, 409}
