"""Virtual keys: their digests, what they are bound to, and since when they no longer count."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from secrets import token_hex, token_urlsafe
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from dirigent.store.rights import names_in

__all__ = ["VirtualKey", "digest", "keep_key", "key_known", "key_of", "keys", "new_id", "new_key", "successor_of"]

_SHOWN = 7
"""The letters of a key that are kept in clear, for people to tell their keys apart; the other forty stay secret."""


class VirtualKey(msgspec.Struct, frozen=True):
    """A key as it is kept: what it is bound to and how it is recognised, never the key itself."""

    id: str
    tenant: str
    project: str
    digest: bytes
    hint: str
    """Its first letters."""
    member: str | None = None
    title: str = ""
    purposes: tuple[str, ...] = ()
    models: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    origin: str = ""
    """The first key in the row of those that replaced each other, itself where it replaced none."""
    replaces: str | None = None
    created: int = 0
    expires: int | None = None
    revoked: int | None = None
    blocked: int | None = None

    def state(self, now: int) -> str:
        """`live`, or why it is not: `blocked`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "live" if self.blocked is None else "blocked"


def new_key() -> tuple[str, bytes, str]:
    """A new key, its digest and its hint."""
    key = f"dk-{token_urlsafe(32)}"
    return key, digest(key), key[:_SHOWN]


def new_id(kind: str) -> str:
    """An id that nothing else has, with a letter or two for its kind."""
    return f"{kind}-{token_hex(6)}"


def digest(key: str) -> bytes:
    """How a key is kept: keys are long and random, so a plain hash cannot be guessed backwards."""
    return blake2b(key.encode(), digest_size=32).digest()


def key_of(connection: Connection, tenant: str, id_: str) -> VirtualKey | None:
    """The key of this id in a tenant, revoked or not."""
    rows = connection.execute(
        text("SELECT * FROM virtual_keys WHERE tenant = :tenant AND id = :id"), {"tenant": tenant, "id": id_}
    )
    return next((_key(row) for row in rows), None)


def key_known(connection: Connection, digest_: bytes) -> bool:
    """Whether a key of this digest was ever issued, to whomever and whatever has become of it."""
    rows = connection.execute(text("SELECT 1 FROM virtual_keys WHERE digest = :digest"), {"digest": digest_})
    return rows.first() is not None


def successor_of(connection: Connection, key: VirtualKey) -> str | None:
    """The id of the key that has replaced this one and was not revoked since."""
    rows = connection.execute(
        text("SELECT id FROM virtual_keys WHERE tenant = :tenant AND replaces = :id AND revoked IS NULL"),
        {"tenant": key.tenant, "id": key.id},
    )
    return rows.scalars().first()


def keys(
    connection: Connection,
    tenant: str,
    *,
    project: str | None = None,
    member: str | None = None,
    now: int | None = None,
) -> Sequence[VirtualKey]:
    """The keys of a tenant, a project or a member, the newest first; with `now` only those that count then."""
    rows = connection.execute(
        text("""
            SELECT * FROM virtual_keys
            WHERE tenant = :tenant
              AND (CAST(:project AS text) IS NULL OR project = :project)
              AND (CAST(:member AS text) IS NULL OR member = :member)
              AND (CAST(:now AS bigint) IS NULL OR (revoked IS NULL AND (expires IS NULL OR expires > :now)))
            ORDER BY created DESC, id"""),
        {"tenant": tenant, "project": project, "member": member, "now": now},
    )
    return [_key(row) for row in rows]


def keep_key(connection: Connection, key: VirtualKey, changed: int) -> None:
    """Writes a key, new or changed, under the number of the change. Its digest and its origin never change."""
    row = msgspec.structs.asdict(key) | {"changed": changed, "origin": key.origin or key.id}
    for names in ("purposes", "models", "denied"):
        row[names] = msgspec.json.encode(row[names]).decode()
    connection.execute(
        text("""
            INSERT INTO virtual_keys (id, tenant, project, member, title, digest, hint, purposes, models, denied,
                                      origin, replaces, created, expires, revoked, blocked, changed)
            VALUES (:id, :tenant, :project, :member, :title, :digest, :hint, :purposes, :models, :denied,
                    :origin, :replaces, :created, :expires, :revoked, :blocked, :changed)
            ON CONFLICT (id) DO UPDATE SET
                title = excluded.title, purposes = excluded.purposes, models = excluded.models,
                denied = excluded.denied, expires = excluded.expires, revoked = excluded.revoked,
                blocked = excluded.blocked, changed = excluded.changed"""),
        row,
    )


def _key(row: Row[Any]) -> VirtualKey:
    return VirtualKey(
        id=row.id,
        tenant=row.tenant,
        project=row.project,
        digest=bytes(row.digest),
        hint=row.hint,
        member=row.member,
        title=row.title,
        purposes=names_in(row.purposes),
        models=names_in(row.models),
        denied=names_in(row.denied),
        origin=row.origin,
        replaces=row.replaces,
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
        blocked=row.blocked,
    )
