"""Carries operations out: permission, transaction, work, audit. The one way in for everybody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from dirigent.control.desk import Desk, Doors, Note, Unknown
from dirigent.control.operation import Operation
from dirigent.control.permissions import Actor, permits, roles_of
from dirigent.core.errors import DirigentError, Forbidden
from dirigent.store.audit import Entry
from dirigent.store.audit import append as chained
from dirigent.store.database import Connection, Database

__all__ = ["ControlPlane", "Happened", "into_the_chain"]

_log = logging.getLogger("dirigent.control")
_LONGEST = 512


class Happened(msgspec.Struct, frozen=True):
    """One thing that was done or refused, as the audit keeps it."""

    at: int
    tenant: str
    actor: Actor
    action: str
    """The name of the operation."""
    note: Note
    permitted: bool
    request: str


Append = Callable[[Connection, Happened], object]


def into_the_chain(connection: Connection, happened: Happened) -> None:
    """Writes what happened into the audit of its tenant."""
    actor = happened.actor
    entry = Entry(
        actor=actor.id if actor.kind == "operator" else f"{actor.kind}:{actor.id}",
        action=happened.action,
        resource=happened.note.subject,
        decision="permitted" if happened.permitted else "denied",
        request=happened.request,
        words=happened.note.words[:_LONGEST],
        facts=happened.note.facts,
    )
    chained(connection, happened.tenant, entry, happened.at)


class ControlPlane:
    """Carries out the operations of a table on one database, for a node or a command."""

    def __init__(
        self,
        database: Database,
        operations: Mapping[str, Operation[Any, Any]],
        doors: Doors | None = None,
        *,
        append: Append = into_the_chain,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self.operations = operations
        self._append = append
        self._doors = doors if doors is not None else Doors()
        self._clock = clock
        self._threads = ThreadPoolExecutor(4, "operation")

    def perform(self, name: str, actor: Actor, order: msgspec.Struct, *, request: str = "") -> Any:
        """The outcome of an operation in the actor's tenant, once it is durable and this node goes by it.

        Waits for the database, and where rules were changed for the node to know them; where that takes too long, the
        outcome is given all the same, and the log says so.

        Raises Forbidden where the actor may not, which is audited, and whatever the operation raises; then nothing of
        it has happened.
        """
        operation = self.admit(name, actor, request=request)
        done: list[Desk] = []

        def work(connection: Connection) -> Any:
            desk = Desk(connection, actor, actor.tenant, self._now(), doors=self._doors, request=request)
            outcome = operation(desk, order)
            if operation.audited:
                self._audit(connection, operation, desk)
            done[:] = [desk]
            return outcome

        outcome = self._database.write(work) if operation.audited or operation.changes else self._database.read(work)
        for desk in done:
            if desk.changed and not self._doors.reached(desk.changed):
                _log.warning("%s is done, and counts here as soon as this node has heard of it", operation.name)
            if desk.later is not None:
                outcome = desk.later(self._database)
        return outcome

    def admit(self, name: str, actor: Actor, *, request: str = "") -> Operation[Any, Any]:
        """The operation that the actor may carry out. Raises Forbidden, which is audited, and Unknown."""
        operation = self.operations.get(name)
        if operation is None:
            raise Unknown(f"there is no operation {name!r}")
        if not permits(actor, operation.permission):
            self._refuse(operation, actor, request)
        return operation

    async def admitting(self, name: str, actor: Actor, *, request: str = "") -> None:
        """The same, without holding up the loop: so who may not is told so, whatever else is wrong with the order."""
        if permits(actor, self.operations[name].permission):
            return
        await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self.admit(name, actor, request=request)
        )

    async def performing(self, name: str, actor: Actor, order: msgspec.Struct, *, request: str = "") -> Any:
        """The same, without holding up the loop. Once begun it comes to its end, even where nobody waits any more."""

        def work() -> Any:
            return self.perform(name, actor, order, request=request)

        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, work))

    def note(self, actor: Actor, action: str, note: Note, *, permitted: bool = True, request: str = "") -> None:
        """Puts something into the audit that is no operation, such as a sign-in. Waits for the database."""
        happened = Happened(self._now(), actor.tenant, actor, action, note, permitted, request)
        self._database.write(lambda connection: self._append(connection, happened))

    def close(self) -> None:
        """Lets what has begun come to its end."""
        self._threads.shutdown()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _audit(self, connection: Connection, operation: Operation[Any, Any], desk: Desk) -> None:
        notes: Iterable[Note] = desk.notes or (Note("", operation.summary),)
        for note in notes:
            happened = Happened(
                desk.now, desk.tenant, desk.actor, operation.name, note, permitted=True, request=desk.request
            )
            self._append(connection, happened)

    def _refuse(self, operation: Operation[Any, Any], actor: Actor, request: str) -> None:
        roles = roles_of(operation.permission)
        whose = f"it takes the role {' or '.join(roles)}" if roles else "only whoever holds the node's data folder may"
        words = f"the role {actor.role} may not carry out {operation.name}: {whose}"
        try:
            self.note(actor, operation.name, Note("", words), permitted=False, request=request)
        except DirigentError as error:
            raise Forbidden(words) from error  # a no stays a no, also where it cannot be written down
        raise Forbidden(words)
