"""Who may do what in the control plane: the one table of roles and permissions."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from dirigent.core.identity import ROLES, Role

__all__ = ["PERMISSIONS", "Actor", "ActorKind", "Permission", "may_give", "permits", "roles_of"]

Permission = Literal[
    "tenants.change",
    "people.see",
    "people.change",
    "keys.see",
    "keys.change",
    "purposes.see",
    "purposes.change",
    "allowances.see",
    "allowances.change",
    "traffic.stop",
    "models.see",
    "models.publish",
    "audit.see",
    "audit.anchor",
    "runs.see",
    "bodies.see",
    "bodies.erase",
    "runs.read",
    "runs.change",
    "schedules.change",
    "usage.see",
    "alerts.see",
    "alerts.change",
    "approvals.see",
    "approvals.decide",
]

_EVERYBODY = frozenset(ROLES)
_RULERS: frozenset[Role] = frozenset({"owner", "admin"})
_CREW: frozenset[Role] = _RULERS | {"operator"}
_WATCHERS: frozenset[Role] = _RULERS | {"privacy_officer"}

PERMISSIONS: dict[Permission, frozenset[Role]] = {
    "tenants.change": frozenset(),  # nobody who belongs to one tenant: only who holds the data folder of the node
    "people.see": _CREW | _WATCHERS,  # names and e-mail addresses: not for those who only look at figures
    "people.change": _RULERS,
    "keys.see": _CREW | _WATCHERS,
    "keys.change": _CREW,
    "purposes.see": _EVERYBODY,
    "purposes.change": _WATCHERS,
    "allowances.see": _EVERYBODY,
    "allowances.change": _RULERS,  # whoever runs the machines does not hand out the money
    "traffic.stop": _CREW | _WATCHERS,
    "models.see": _EVERYBODY,
    "models.publish": _CREW,
    "audit.see": _WATCHERS,
    "audit.anchor": _WATCHERS,
    "runs.see": _CREW | _WATCHERS | {"reviewer"},  # who asked what when: personal data
    "bodies.see": frozenset({"owner", "privacy_officer", "reviewer"}),  # not for those who run the machines
    "bodies.erase": frozenset({"owner", "privacy_officer"}),
    "runs.read": _WATCHERS,  # what was asked and answered; each look is audited
    "runs.change": _CREW,
    "schedules.change": _CREW,
    "usage.see": _EVERYBODY,
    "alerts.see": _EVERYBODY,
    "alerts.change": _CREW,
    "approvals.see": _CREW | _WATCHERS | {"reviewer"},  # what is asked is told to those alone who may decide
    "approvals.decide": _RULERS | {"reviewer"},
}
"""Which roles hold a permission. What is not named is denied."""

ActorKind = Literal["operator", "member", "system"]
"""Whoever holds the data folder's key; a person who has signed in; Dirigent itself, such as a file it has read."""


class Actor(msgspec.Struct, frozen=True):
    """On whose word an operation is carried out."""

    kind: ActorKind
    id: str
    """The id of the member, or `operator`, or what of Dirigent acts, such as `file`."""
    role: Role
    tenant: str
    name: str = ""
    """For people to read; never written into the audit."""


def permits(actor: Actor, permission: Permission) -> bool:
    """Whether the actor holds the permission. Whoever holds the data folder could do all of it by hand, so may."""
    return actor.kind != "member" or actor.role in PERMISSIONS[permission]


def roles_of(permission: Permission) -> tuple[Role, ...]:
    """The roles that hold a permission, the highest first."""
    return tuple(role for role in ROLES if role in PERMISSIONS[permission])


def may_give(giver: Actor, role: Role) -> bool:
    """Whether the actor may make somebody this, or change somebody who is: owners alone make and change owners."""
    return giver.kind != "member" or giver.role == "owner" or (giver.role in _RULERS and role != "owner")


if missing := set(get_args(Permission)) ^ set(PERMISSIONS):
    raise TypeError(f"the table of permissions and their names differ: {missing}")
