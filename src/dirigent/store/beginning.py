"""What a new database begins with, so that a node works with nothing but a folder."""

from __future__ import annotations

from sqlalchemy import Connection

from dirigent.core.purposes import GENERAL, Purpose
from dirigent.store.keys import VirtualKey, keep_key, key_known, key_of
from dirigent.store.people import Member, Project, Tenant, keep_member, keep_project, keep_tenant, tenant_named
from dirigent.store.pulse import bump
from dirigent.store.purposes import Registered, keep_purpose
from dirigent.store.rights import TOPIC

__all__ = ["DEFAULT", "FIRST", "OPERATOR", "bootstrap", "general"]

DEFAULT = "default"
"""The name of the first tenant, and of its first project."""
FIRST = "first"
"""The id of the first key; those of further data folders have a mark behind it."""
OPERATOR = "operator"
"""The id of the first member: whoever holds the data folder."""


def bootstrap(connection: Connection, first_key_digest: bytes, now: int, hint: str = "dk-") -> None:
    """Makes sure that there is a tenant with a project, a purpose and an owner, and that the folder's key is known.

    What is there already stays as it is: a key that was revoked stays so, whoever holds it. Several folders on one
    database have a key each.
    """
    if key_known(connection, first_key_digest):
        return
    changed = bump(connection, TOPIC)  # of two nodes that begin at once, the second waits here and finds it done
    if tenant_named(connection, DEFAULT) is None:
        keep_tenant(connection, Tenant(DEFAULT, created=now), changed)
        keep_project(connection, Project(DEFAULT, DEFAULT, created=now), changed)
        keep_member(connection, Member(DEFAULT, OPERATOR, "Operator", "owner", created=now), changed)
        keep_purpose(connection, general(DEFAULT, now), changed)
    if not key_known(connection, first_key_digest):
        taken = key_of(connection, DEFAULT, FIRST) is not None
        id_ = f"{FIRST}-{first_key_digest.hex()[:8]}" if taken else FIRST
        title = "made with its data folder"
        key = VirtualKey(id_, DEFAULT, DEFAULT, first_key_digest, hint, member=OPERATOR, title=title, created=now)
        keep_key(connection, key, changed)


def general(tenant: str, now: int) -> Registered:
    """The purpose that keys without any imply: it permits everything, and binds the data to no region."""
    purpose = Purpose(GENERAL, "Whatever nobody has registered a purpose for", models=("*",))
    return Registered(tenant, purpose, since=now)
