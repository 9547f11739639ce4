"""A small world in a database: a tenant with projects, members, purposes, keys and allowances."""

from __future__ import annotations

from sqlalchemy import Connection

from dirigent.core.allowances import Allowance
from dirigent.core.purposes import Purpose
from dirigent.store.allowances import keep_allowance
from dirigent.store.beginning import bootstrap
from dirigent.store.keys import VirtualKey, digest, keep_key
from dirigent.store.people import Member, Project, Tenant, keep_member, keep_project, keep_tenant
from dirigent.store.pulse import bump
from dirigent.store.purposes import Registered, keep_purpose
from dirigent.store.rights import TOPIC

NOW = 1_800_000_000_000


def settle_in(connection: Connection) -> None:
    """The tenant `acme` beside the tenant `default`, each with a project, a member, a purpose and a key."""
    bootstrap(connection, digest("dk-first"), NOW)
    changed = bump(connection, TOPIC)
    keep_tenant(connection, Tenant("acme", "Acme", "Europe/Berlin", "EUR", denied=("secret-*",)), changed)
    keep_project(connection, Project("acme", "sales", models=("gpt-*", "auto")), changed)
    keep_member(connection, Member("acme", "m-1", "Erika", "operator", email="Erika@Example.com"), changed)
    keep_purpose(connection, Registered("acme", Purpose("offers", models=("*",), regions=("eu",))), changed)
    keep_key(connection, a_key("k-1", member="m-1", purposes=("offers",)), changed)
    keep_allowance(connection, an_allowance("a-1", "project", "sales"), NOW, changed)


def a_key(id_: str, **more: object) -> VirtualKey:
    """A key of the project sales, whose clear text is its id."""
    fields: dict[str, object] = {
        "id": id_, "tenant": "acme", "project": "sales", "digest": digest(id_), "hint": "dk-abcd", "created": NOW
    }  # fmt: skip
    return VirtualKey(**{**fields, **more})  # type: ignore[arg-type]


def an_allowance(id_: str, level: str, subject: str, **more: object) -> Allowance:
    """A budget of 5 euros a month."""
    fields: dict[str, object] = {
        "id": id_, "level": level, "subject": subject, "unit": "money", "most": 5_000_000_000, "window": "month",
        "zone": "Europe/Berlin", "currency": "EUR", "tenant": "acme",
    }  # fmt: skip
    return Allowance(**{**fields, **more})  # type: ignore[arg-type]
