"""A control plane over an embedded database that has just begun, with a clock that stands still."""

from __future__ import annotations

from typing import Any

import msgspec

from dirigent.control import OPERATIONS
from dirigent.control.desk import Doors
from dirigent.control.permissions import Actor
from dirigent.control.plane import ControlPlane, Happened
from dirigent.core.identity import Role
from dirigent.memory.rights import MemoryRights
from dirigent.store import Database, upgrade
from dirigent.store.beginning import bootstrap
from dirigent.store.keys import digest
from dirigent.store.rights import rules_since

START = 1_800_000_000.0


class Office:
    """Carries out operations, keeps their lines in the audit, and knows what a node would know of the rules."""

    def __init__(self, database: Database) -> None:
        self.database = database
        upgrade(self.database)
        self.now = START
        self.database.write(lambda found: bootstrap(found, digest("dk-first"), int(self.now * 1000)))
        self.audit: list[Happened] = []
        self.models = ["gpt-4o", "claude", "auto"]
        self.aliases: dict[str, str] = {}
        self.plane = ControlPlane(
            self.database,
            OPERATIONS,
            append=lambda _, happened: self.audit.append(happened),
            doors=Doors(models=lambda: self.models, aliases=lambda: self.aliases),
            clock=lambda: self.now,
        )
        self.rights = MemoryRights(clock=lambda: self.now)
        self.follow()

    def does(self, operation: str, /, *, tenant: str = "default", by: Role | None = None, **order: Any) -> Any:
        """The outcome of an operation of the operator's, or of a member of this role."""
        actor = Actor("operator", "operator", "owner", tenant) if by is None else Actor("member", f"m-{by}", by, tenant)
        found = OPERATIONS[operation]
        return self.plane.perform(operation, actor, msgspec.convert(order, found.order))

    def follow(self) -> MemoryRights:
        """What a node knows once it has heard of all changes."""
        since = self.rights.book.sequence
        rules = self.database.read(lambda found: rules_since(found, since, int(self.now * 1000)))
        self.rights.take(rules)
        return self.rights

    def close(self) -> None:
        self.plane.close()
        self.database.close()
