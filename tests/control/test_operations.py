"""Operations: what makes a function one, and what happens when one is carried out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from dirigent.control import Desk, Operation, operation
from dirigent.control.desk import Taken, Unknown
from dirigent.control.operation import gathered
from dirigent.control.permissions import PERMISSIONS, Actor, may_give, permits
from dirigent.control.plane import ControlPlane, Happened
from dirigent.core.errors import Forbidden
from dirigent.core.identity import ROLES, Role
from dirigent.store import Database
from dirigent.store.database import Connection


class Put(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to put where."""

    name: str
    fails: bool = False


class Done(msgspec.Struct, frozen=True):
    """How many there are now."""

    count: int


@operation("things.put", permission="models.publish", changes=True)
def put(desk: Desk, order: Put) -> Done:
    """Puts a thing there.

    It stays.
    """
    desk.connection.execute(text("INSERT INTO things VALUES (:name)"), {"name": order.name})
    if order.fails:
        raise Taken("it is there already")
    desk.note(f"thing:{order.name}", "was put there", by=desk.actor.id)
    return _count(desk)


@operation("things.count", permission="models.see", changes=False)
def count(desk: Desk, order: Put) -> Done:
    """Counts the things."""
    return _count(desk)


@operation("things.clear", permission="tenants.change", changes=True)
def clear(desk: Desk, order: Put) -> Done:
    """Takes all things away, and says how many there were when it was over."""
    desk.connection.exec_driver_sql("DELETE FROM things")
    desk.afterwards(lambda database: database.read(_counted))
    return Done(-1)


def _counted(connection: Connection) -> Done:
    return Done(int(connection.exec_driver_sql("SELECT count(*) FROM things").scalar_one()))


def _count(desk: Desk) -> Done:
    return _counted(desk.connection)


def _module(**members: object) -> ModuleType:
    module = ModuleType("things")
    vars(module).update(members)
    return module


class World:
    """A plane over an empty database with one table, and what went into the audit."""

    def __init__(self, folder: Path) -> None:
        self.database = Database.within(folder)
        self.database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE things (name TEXT)"))
        self.audit: list[Happened] = []
        table = gathered([_module(put=put, count=count, clear=clear)])
        self.plane = ControlPlane(self.database, table, append=lambda _, happened: self.audit.append(happened))

    def member(self, role: Role) -> Actor:
        return Actor("member", f"m-{role}", role, "default")

    def things(self) -> int:
        return self.database.read(_counted).count


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.plane.close()
    world.database.close()


def test_an_operation_is_carried_out_with_its_line_in_the_audit(world: World) -> None:
    outcome = world.plane.perform("things.put", world.member("admin"), Put("a"), request="req-1")

    assert outcome == Done(1)
    (happened,) = world.audit
    assert (happened.action, happened.note.subject, happened.permitted) == ("things.put", "thing:a", True)
    assert (happened.actor.id, happened.request) == ("m-admin", "req-1")
    assert happened.note.facts == {"by": "m-admin"}


def test_an_operation_that_raises_leaves_nothing_behind(world: World) -> None:
    with pytest.raises(Taken):
        world.plane.perform("things.put", world.member("admin"), Put("a", fails=True))

    assert world.things() == 0
    assert world.audit == []


def test_a_refusal_does_nothing_and_is_audited(world: World) -> None:
    with pytest.raises(Forbidden, match=r"viewer may not carry out things\.put: it takes the role owner or admin"):
        world.plane.perform("things.put", world.member("viewer"), Put("a"))

    assert world.things() == 0
    assert [(each.action, each.permitted) for each in world.audit] == [("things.put", False)]


def test_reading_leaves_no_line_in_the_audit(world: World) -> None:
    assert world.plane.perform("things.count", world.member("viewer"), Put("a")) == Done(0)
    assert world.audit == []


def test_what_an_operation_does_afterwards_sees_what_it_has_written(world: World) -> None:
    operator = Actor("operator", "operator", "owner", "default")
    world.plane.perform("things.put", operator, Put("a"))

    assert world.plane.perform("things.clear", operator, Put("a")) == Done(0)
    assert world.audit[-1].note.words == "Takes all things away, and says how many there were when it was over."


def test_nobody_of_a_tenant_may_do_what_concerns_all_tenants(world: World) -> None:
    with pytest.raises(Forbidden, match="only whoever holds the node's data folder may"):
        world.plane.perform("things.clear", world.member("owner"), Put("a"))


def test_an_operation_nobody_wrote_is_unknown(world: World) -> None:
    with pytest.raises(Unknown):
        world.plane.perform("things.eat", world.member("owner"), Put("a"))


async def test_the_loop_goes_on_while_an_operation_waits_for_the_database(world: World) -> None:
    assert await world.plane.performing("things.put", world.member("admin"), Put("a")) == Done(1)


def test_the_summary_is_the_first_paragraph_of_the_docstring() -> None:
    assert (put.summary, put.order, put.outcome) == ("Puts a thing there.", Put, Done)
    assert put.changes
    assert not count.audited


def test_two_operations_of_one_name_are_refused() -> None:
    again = operation("things.put", permission="models.publish", changes=True)(_plain)

    with pytest.raises(TypeError, match=r"two operations are called things\.put"):
        gathered([_module(put=put), _module(again=again)])


def _plain(desk: Desk, order: Put) -> Done:
    """Does nothing."""
    return Done(0)


def _silent(desk: Desk, order: Put) -> Done:
    return Done(0)


def _loose(desk: Desk, order: dict[str, Any]) -> Done:
    """Takes anything."""
    return Done(0)


@pytest.mark.parametrize(
    ("name", "work", "words"),
    [
        ("Things", _plain, "no name of an operation"),
        ("things.put", _silent, "says nothing about itself"),
        ("things.put", _loose, "of frozen structs"),
    ],
)
def test_what_is_no_operation_is_refused_where_it_is_written(name: str, work: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Operation(name, work, "models.see", changes=False, audited=False)


def test_an_owner_may_whatever_any_member_may() -> None:
    for permission, roles in PERMISSIONS.items():
        assert not roles or "owner" in roles, permission


def test_a_viewer_changes_nothing() -> None:
    viewer = Actor("member", "m", "viewer", "default")

    held = {permission for permission in PERMISSIONS if permits(viewer, permission)}

    assert {name.partition(".")[2] for name in held} == {"see"}


def test_only_owners_make_owners() -> None:
    givers = {role: Actor("member", "m", role, "default") for role in ROLES}

    assert [role for role in ROLES if may_give(givers[role], "owner")] == ["owner"]
    assert [role for role in ROLES if may_give(givers[role], "viewer")] == ["owner", "admin"]
