"""The register of purposes: each change of one is a revision of its own, and none is ever overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from dirigent.core.purposes import Purpose
from dirigent.store.rights import purpose_in

__all__ = ["Registered", "keep_purpose", "purpose_named", "purposes", "revisions_of"]


class Registered(msgspec.Struct, frozen=True):
    """A purpose at one of its revisions."""

    tenant: str
    purpose: Purpose
    revision: int = 1
    since: int = 0
    """When this revision was registered."""
    retired: int | None = None
    """Since when nobody may name it any more."""


def purpose_named(connection: Connection, tenant: str, name: str) -> Registered | None:
    """The purpose of this name at its last revision, retired or not."""
    found = revisions_of(connection, tenant, name)
    return found[0] if found else None


def revisions_of(connection: Connection, tenant: str, name: str) -> Sequence[Registered]:
    """All revisions of a purpose, the last one first."""
    rows = connection.execute(
        text("SELECT * FROM purposes WHERE tenant = :tenant AND name = :name ORDER BY revision DESC"),
        {"tenant": tenant, "name": name},
    )
    return [_registered(row) for row in rows]


def purposes(connection: Connection, tenant: str) -> Sequence[Registered]:
    """All purposes of a tenant at their last revisions, retired ones too."""
    rows = connection.execute(
        text("""
            SELECT * FROM purposes AS present
            WHERE tenant = :tenant
              AND revision = (SELECT max(revision) FROM purposes AS each
                              WHERE each.tenant = present.tenant AND each.name = present.name)
            ORDER BY name"""),
        {"tenant": tenant},
    )
    return [_registered(row) for row in rows]


def keep_purpose(connection: Connection, registered: Registered, changed: int) -> None:
    """Adds a revision of a purpose, under the number of the change."""
    connection.execute(
        text("""
            INSERT INTO purposes (tenant, name, revision, document, retired, since, changed)
            VALUES (:tenant, :name, :revision, :document, :retired, :since, :changed)"""),
        {
            "tenant": registered.tenant,
            "name": registered.purpose.name,
            "revision": registered.revision,
            "document": msgspec.json.encode(registered.purpose).decode(),
            "retired": registered.retired,
            "since": registered.since,
            "changed": changed,
        },
    )


def _registered(row: Row[Any]) -> Registered:
    return Registered(row.tenant, purpose_in(row.document), row.revision, row.since, row.retired)
