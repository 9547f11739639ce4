"""Operations on tenants, their projects and their members."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dirigent.control.desk import Desk, Taken, Unknown
from dirigent.control.fields import Currency, Id, Name, Patterns, Title, Zone, zoned
from dirigent.control.operation import operation
from dirigent.control.permissions import may_give
from dirigent.core.errors import Forbidden
from dirigent.core.identity import Role
from dirigent.store import people
from dirigent.store.beginning import DEFAULT, general
from dirigent.store.keys import new_id
from dirigent.store.people import Member, Project, Tenant
from dirigent.store.purposes import keep_purpose
from dirigent.store.sessions import close_sessions_of

Email = Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$(?!\n)", max_length=254)]
Password = Annotated[str, msgspec.Meta(min_length=10, max_length=1_000)]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Needs no particulars."""


# --- tenants ----------------------------------------------------------------------------------------------------------


class NewTenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant to be."""

    name: Name
    title: Title = ""
    zone: Zone = "UTC"
    """Where its days and months begin."""
    currency: Currency = "USD"
    """In which its budgets are, unless one says otherwise."""
    models: Patterns = ("*",)
    """Names or patterns of models that it may ask."""
    denied: Patterns = ()
    """Names or patterns of models that nothing in it may reach."""


class TenantChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a tenant changes; what is not given stays. Budgets that stand keep their own zone and currency."""

    name: Name
    title: Title | None = None
    zone: Zone | None = None
    currency: Currency | None = None
    models: Patterns | None = None
    denied: Patterns | None = None


class TenantBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tenant."""

    name: Name
    lift: bool = False
    """Whether a block is to be lifted instead."""


class Tenants(msgspec.Struct, frozen=True):
    """All tenants."""

    tenants: tuple[Tenant, ...]


@operation("tenants.create", permission="tenants.change", changes=True)
def create_tenant(desk: Desk, order: NewTenant) -> Tenant:
    """Makes a tenant with a project `default` and the purpose `general`."""
    changed = desk.change()
    if people.tenant_named(desk.connection, order.name) is not None:
        raise Taken(f"there is a tenant {order.name!r} already", param="name")
    tenant = Tenant(
        order.name, order.title, zoned(order.zone), order.currency, order.models, order.denied, created=desk.now
    )
    people.keep_tenant(desk.connection, tenant, changed)
    people.keep_project(desk.connection, Project(order.name, DEFAULT, created=desk.now), changed)
    keep_purpose(desk.connection, general(order.name, desk.now), changed)
    desk.note(f"tenant:{order.name}", "was made")
    return tenant


@operation("tenants.list", permission="tenants.change", changes=False)
def list_tenants(desk: Desk, order: Nothing) -> Tenants:  # noqa: ARG001  each operation takes an order
    """Lists all tenants of the node."""
    return Tenants(tuple(people.tenants(desk.connection)))


@operation("tenants.update", permission="tenants.change", changes=True)
def update_tenant(desk: Desk, order: TenantChange) -> Tenant:
    """Changes a tenant's title, time zone, currency and which models it permits; nodes follow within a second."""
    changed = desk.change()
    before = _tenant_at(desk, order.name)
    tenant = msgspec.structs.replace(
        before,
        title=before.title if order.title is None else order.title,
        zone=before.zone if order.zone is None else zoned(order.zone),
        currency=before.currency if order.currency is None else order.currency,
        models=before.models if order.models is None else order.models,
        denied=before.denied if order.denied is None else order.denied,
    )
    people.keep_tenant(desk.connection, tenant, changed)
    desk.note(
        f"tenant:{order.name}",
        "changed",
        zone=tenant.zone,
        currency=tenant.currency,
        models=" ".join(tenant.models),
        denied=" ".join(tenant.denied),
    )
    return tenant


@operation("tenants.block", permission="tenants.change", changes=True)
def block_tenant(desk: Desk, order: TenantBlock) -> Tenant:
    """Takes a tenant out of use at once, with all its keys and members; or lifts that again."""
    changed = desk.change()
    tenant = _tenant_at(desk, order.name)
    tenant = msgspec.structs.replace(tenant, blocked=None if order.lift else tenant.blocked or desk.now)
    people.keep_tenant(desk.connection, tenant, changed)
    desk.note(f"tenant:{order.name}", "may be used again" if order.lift else "was blocked")
    return tenant


def _tenant_at(desk: Desk, name: str) -> Tenant:
    tenant = people.tenant_named(desk.connection, name)
    if tenant is None:
        raise Unknown(f"there is no tenant {name!r}", param="name")
    return tenant


# --- projects ---------------------------------------------------------------------------------------------------------


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project to be."""

    name: Name
    title: Title = ""
    models: Patterns = ("*",)
    """Names or patterns of models that its keys may ask."""
    denied: Patterns = ()
    """Names or patterns of models that nothing in it may reach."""


class ProjectChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a project changes; what is not given stays."""

    name: Name
    title: Title | None = None
    models: Patterns | None = None
    denied: Patterns | None = None


class ProjectBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which project."""

    name: Name
    lift: bool = False
    """Whether a block is to be lifted instead."""


class Projects(msgspec.Struct, frozen=True):
    """The projects of a tenant."""

    projects: tuple[Project, ...]


@operation("projects.create", permission="people.change", changes=True)
def create_project(desk: Desk, order: NewProject) -> Project:
    """Makes a project, which may then own keys and budgets."""
    changed = desk.change()
    if people.project_named(desk.connection, desk.tenant, order.name) is not None:
        raise Taken(f"there is a project {order.name!r} already", param="name")
    project = Project(desk.tenant, order.name, order.title, order.models, order.denied, created=desk.now)
    people.keep_project(desk.connection, project, changed)
    desk.note(f"project:{order.name}", "was made", models=" ".join(order.models), denied=" ".join(order.denied))
    return project


@operation("projects.list", permission="people.see", changes=False)
def list_projects(desk: Desk, order: Nothing) -> Projects:  # noqa: ARG001  each operation takes an order
    """Lists all projects."""
    return Projects(tuple(people.projects(desk.connection, desk.tenant)))


@operation("projects.update", permission="people.change", changes=True)
def update_project(desk: Desk, order: ProjectChange) -> Project:
    """Changes what a project is called and which models it permits; nodes follow within a second."""
    changed = desk.change()
    before = project_at(desk, order.name)
    project = msgspec.structs.replace(
        before,
        title=before.title if order.title is None else order.title,
        models=before.models if order.models is None else order.models,
        denied=before.denied if order.denied is None else order.denied,
    )
    people.keep_project(desk.connection, project, changed)
    desk.note(f"project:{order.name}", "changed", models=" ".join(project.models), denied=" ".join(project.denied))
    return project


@operation("projects.block", permission="traffic.stop", changes=True)
def block_project(desk: Desk, order: ProjectBlock) -> Project:
    """Takes a project out of use at once, with all its keys; or lifts that again."""
    changed = desk.change()
    project = project_at(desk, order.name)
    project = msgspec.structs.replace(project, blocked=None if order.lift else project.blocked or desk.now)
    people.keep_project(desk.connection, project, changed)
    desk.note(f"project:{order.name}", "may be used again" if order.lift else "was blocked")
    return project


def project_at(desk: Desk, name: str) -> Project:
    """The project of this name. Raises Unknown."""
    project = people.project_named(desk.connection, desk.tenant, name)
    if project is None:
        raise Unknown(f"there is no project {name!r}", param="project")
    return project


# --- members ----------------------------------------------------------------------------------------------------------


class Invitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who becomes a member."""

    name: Title
    email: Email
    role: Role = "viewer"
    password: Password | None = None
    """To sign in with here; none is needed where an identity provider signs people in."""
    external: Title | None = None
    """Issuer and subject by which an identity provider knows the person, with a space between."""

    def __repr__(self) -> str:
        return f"Invitation(role={self.role!r})"  # neither the person nor the password, wherever it may be shown


class MemberChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a member changes; what is not given stays."""

    id: Id
    name: Title | None = None
    email: Email | None = None
    role: Role | None = None
    external: Title | None = None


class MemberBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which member."""

    id: Id
    lift: bool = False
    """Whether a block is to be lifted instead."""


class MemberPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose password becomes what."""

    id: Id
    password: Password | None = None
    """None takes the password away: nobody signs in with one then."""

    def __repr__(self) -> str:
        return f"MemberPassword(id={self.id!r}, password=…)"


class Members(msgspec.Struct, frozen=True):
    """The members of a tenant."""

    members: tuple[Member, ...]


@operation("members.invite", permission="people.change", changes=True)
def invite(desk: Desk, order: Invitation) -> Member:
    """Makes somebody a member, with a role."""
    _may_make(desk, order.role)
    changed = desk.change()
    member = Member(
        desk.tenant,
        new_id("m"),
        order.name,
        order.role,
        email=order.email.lower(),
        external=order.external,
        created=desk.now,
        password=order.password is not None,
    )
    _alone(desk, member)
    people.keep_member(desk.connection, member, changed)
    if order.password is not None:
        people.keep_password(desk.connection, desk.tenant, member.id, people.hashed(order.password))
    desk.note(f"member:{member.id}", "became a member", role=order.role)
    return member


@operation("members.list", permission="people.see", changes=False)
def list_members(desk: Desk, order: Nothing) -> Members:  # noqa: ARG001  each operation takes an order
    """Lists all members."""
    return Members(tuple(people.members(desk.connection, desk.tenant)))


@operation("members.update", permission="people.change", changes=True)
def update_member(desk: Desk, order: MemberChange) -> Member:
    """Changes a member's name, address or role; with a new role everybody has to sign in again."""
    changed = desk.change()
    before = _member_at(desk, order.id)
    member = msgspec.structs.replace(
        before,
        name=before.name if order.name is None else order.name,
        email=before.email if order.email is None else order.email.lower(),
        role=before.role if order.role is None else order.role,
        external=before.external if order.external is None else order.external,
    )
    _may_make(desk, member.role)
    _alone(desk, member)
    people.keep_member(desk.connection, member, changed)
    if member.role != before.role:
        close_sessions_of(desk.connection, desk.tenant, member.id)
    desk.note(f"member:{member.id}", "changed", role=member.role)
    return member


@operation("members.block", permission="people.change", changes=True)
def block_member(desk: Desk, order: MemberBlock) -> Member:
    """Takes a member's keys and sessions out of use at once; or lifts that again."""
    changed = desk.change()
    member = _member_at(desk, order.id)
    member = msgspec.structs.replace(member, blocked=None if order.lift else member.blocked or desk.now)
    people.keep_member(desk.connection, member, changed)
    if not order.lift:
        close_sessions_of(desk.connection, desk.tenant, member.id)
    desk.note(f"member:{member.id}", "may act again" if order.lift else "was blocked")
    return member


@operation("members.password", permission="people.change", changes=True)
def change_password(desk: Desk, order: MemberPassword) -> Member:
    """Gives a member a new password, or takes it away; all sessions of the member end."""
    member = _member_at(desk, order.id)
    people.keep_password(
        desk.connection, desk.tenant, member.id, None if order.password is None else people.hashed(order.password)
    )
    close_sessions_of(desk.connection, desk.tenant, member.id)
    desk.note(f"member:{member.id}", "has no password any more" if order.password is None else "got a new password")
    return msgspec.structs.replace(member, password=order.password is not None)


def _member_at(desk: Desk, id_: str) -> Member:
    member = people.member_of(desk.connection, desk.tenant, id_)
    if member is None:
        raise Unknown(f"there is no member {id_!r}", param="id")
    _may_make(desk, member.role)
    return member


def _may_make(desk: Desk, role: Role) -> None:
    if not may_give(desk.actor, role):
        raise Forbidden(f"the role {desk.actor.role} may not make or change anybody of the role {role}")


def _alone(desk: Desk, member: Member) -> None:
    """Raises Taken where another member has the same address, or is the same person elsewhere."""
    if member.email is not None:
        other = people.member_named(desk.connection, desk.tenant, member.email)
        if other is not None and other.id != member.id:
            raise Taken("another member has this e-mail address", param="email")
    if member.external is not None:
        other = people.member_outside(desk.connection, desk.tenant, member.external)
        if other is not None and other.id != member.id:
            raise Taken("another member is known by this name elsewhere", param="external")
