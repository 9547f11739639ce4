"""Tenants, their projects and their members."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, text

from dirigent.core.identity import Role
from dirigent.store.rights import names_in

__all__ = [
    "Member",
    "Project",
    "Tenant",
    "hashed",
    "keep_member",
    "keep_password",
    "keep_project",
    "keep_tenant",
    "member_named",
    "member_of",
    "member_outside",
    "members",
    "project_named",
    "projects",
    "tenant_named",
    "tenants",
    "verify_password",
]


class Tenant(msgspec.Struct, frozen=True):
    """The isolated customer."""

    name: str
    title: str = ""
    zone: str = "UTC"
    """An IANA time zone: where its days and months begin."""
    currency: str = "USD"
    """In which its budgets are, unless one says otherwise."""
    models: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    blocked: int | None = None
    created: int = 0


class Project(msgspec.Struct, frozen=True):
    """Part of a tenant that owns keys and budgets."""

    tenant: str
    name: str
    title: str = ""
    models: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    blocked: int | None = None
    created: int = 0


class Member(msgspec.Struct, frozen=True):
    """A person in a tenant, with a role."""

    tenant: str
    id: str
    name: str
    role: Role
    email: str | None = None
    """In lower case; who has none cannot sign in with a password."""
    external: str | None = None
    """By whom and as what the person is known elsewhere: issuer and subject of an identity provider."""
    blocked: int | None = None
    created: int = 0
    password: bool = False
    """Whether a password is kept; never the password itself, nor what is kept of it."""


# --- tenants and projects ---------------------------------------------------------------------------------------------


def tenant_named(connection: Connection, name: str) -> Tenant | None:
    """The tenant of this name."""
    rows = connection.execute(text("SELECT * FROM tenants WHERE name = :name"), {"name": name})
    return next((_tenant(row) for row in rows), None)


def tenants(connection: Connection) -> Sequence[Tenant]:
    """All tenants, blocked ones too."""
    return [_tenant(row) for row in connection.execute(text("SELECT * FROM tenants ORDER BY name"))]


def keep_tenant(connection: Connection, tenant: Tenant, changed: int) -> None:
    """Writes a tenant, new or changed, under the number of the change."""
    connection.execute(
        text("""
            INSERT INTO tenants (name, title, zone, currency, models, denied, blocked, created, changed)
            VALUES (:name, :title, :zone, :currency, :models, :denied, :blocked, :created, :changed)
            ON CONFLICT (name) DO UPDATE SET
                title = excluded.title, zone = excluded.zone, currency = excluded.currency, models = excluded.models,
                denied = excluded.denied, blocked = excluded.blocked, changed = excluded.changed"""),
        _row(tenant, changed),
    )


def project_named(connection: Connection, tenant: str, name: str) -> Project | None:
    """The project of this name in a tenant."""
    rows = connection.execute(
        text("SELECT * FROM projects WHERE tenant = :tenant AND name = :name"), {"tenant": tenant, "name": name}
    )
    return next((_project(row) for row in rows), None)


def projects(connection: Connection, tenant: str) -> Sequence[Project]:
    """All projects of a tenant, blocked ones too."""
    rows = connection.execute(text("SELECT * FROM projects WHERE tenant = :tenant ORDER BY name"), {"tenant": tenant})
    return [_project(row) for row in rows]


def keep_project(connection: Connection, project: Project, changed: int) -> None:
    """Writes a project, new or changed, under the number of the change."""
    connection.execute(
        text("""
            INSERT INTO projects (tenant, name, title, models, denied, blocked, created, changed)
            VALUES (:tenant, :name, :title, :models, :denied, :blocked, :created, :changed)
            ON CONFLICT (tenant, name) DO UPDATE SET
                title = excluded.title, models = excluded.models, denied = excluded.denied,
                blocked = excluded.blocked, changed = excluded.changed"""),
        _row(project, changed),
    )


# --- members ----------------------------------------------------------------------------------------------------------


def member_of(connection: Connection, tenant: str, id_: str) -> Member | None:
    """The member of this id in a tenant."""
    rows = connection.execute(
        text("SELECT * FROM members WHERE tenant = :tenant AND id = :id"), {"tenant": tenant, "id": id_}
    )
    return next((_member(row) for row in rows), None)


def member_named(connection: Connection, tenant: str, email: str) -> Member | None:
    """The member of this e-mail address in a tenant, however it is written."""
    rows = connection.execute(
        text("SELECT * FROM members WHERE tenant = :tenant AND email = :email"),
        {"tenant": tenant, "email": email.strip().lower()},
    )
    return next((_member(row) for row in rows), None)


def member_outside(connection: Connection, tenant: str, external: str) -> Member | None:
    """The member whom an identity provider knows by this name."""
    rows = connection.execute(
        text("SELECT * FROM members WHERE tenant = :tenant AND external = :external"),
        {"tenant": tenant, "external": external},
    )
    return next((_member(row) for row in rows), None)


def members(connection: Connection, tenant: str) -> Sequence[Member]:
    """All members of a tenant, blocked ones too."""
    rows = connection.execute(
        text("SELECT * FROM members WHERE tenant = :tenant ORDER BY name, id"), {"tenant": tenant}
    )
    return [_member(row) for row in rows]


def keep_member(connection: Connection, member: Member, changed: int) -> None:
    """Writes a member, new or changed, under the number of the change; the password stays as it is."""
    connection.execute(
        text("""
            INSERT INTO members (tenant, id, name, email, role, external, blocked, created, changed)
            VALUES (:tenant, :id, :name, :email, :role, :external, :blocked, :created, :changed)
            ON CONFLICT (tenant, id) DO UPDATE SET
                name = excluded.name, email = excluded.email, role = excluded.role, external = excluded.external,
                blocked = excluded.blocked, changed = excluded.changed"""),
        _row(member, changed) | {"email": None if member.email is None else member.email.strip().lower()},
    )


# --- passwords --------------------------------------------------------------------------------------------------------


def hashed(password: str) -> str:
    """What is kept of a password: an Argon2id hash, which takes long enough to make guessing dear."""
    return _hasher().hash(password)


def keep_password(connection: Connection, tenant: str, member: str, hash_: str | None) -> None:
    """Keeps the hash of a member's password; with None nobody can sign in with one."""
    connection.execute(
        text("UPDATE members SET password = :hash WHERE tenant = :tenant AND id = :member"),
        {"hash": hash_, "tenant": tenant, "member": member},
    )


def verify_password(connection: Connection, tenant: str, email: str, password: str) -> Member | None:
    """The member whose address and password these are; None where they are nobody's, or a blocked member's.

    It takes as long for an address that nobody has as for a wrong password, so that nobody learns who is a member.
    """
    rows = connection.execute(
        text("SELECT * FROM members WHERE tenant = :tenant AND email = :email"),
        {"tenant": tenant, "email": email.strip().lower()},
    )
    row = rows.one_or_none()
    kept = None if row is None else row.password
    try:
        _hasher().verify(_nobody() if kept is None else kept, password)
    except (VerificationError, InvalidHashError):
        return None
    return None if row is None or kept is None or row.blocked is not None else _member(row)


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    return hashed("")


def _row(thing: Tenant | Project | Member, changed: int) -> dict[str, Any]:
    row = msgspec.structs.asdict(thing)
    for names in ("models", "denied"):
        if names in row:
            row[names] = msgspec.json.encode(row[names]).decode()
    row.pop("password", None)
    return row | {"changed": changed}


def _tenant(row: Row[Any]) -> Tenant:
    models, denied = names_in(row.models), names_in(row.denied)
    return Tenant(row.name, row.title, row.zone, row.currency, models, denied, row.blocked, row.created)


def _project(row: Row[Any]) -> Project:
    models, denied = names_in(row.models), names_in(row.denied)
    return Project(row.tenant, row.name, row.title, models, denied, row.blocked, row.created)


def _member(row: Row[Any]) -> Member:
    return Member(
        row.tenant,
        row.id,
        row.name,
        row.role,
        email=row.email,
        external=row.external,
        blocked=row.blocked,
        created=row.created,
        password=row.password is not None,
    )
