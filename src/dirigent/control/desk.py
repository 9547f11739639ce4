"""Where an operation is carried out: one transaction, on somebody's word, with a line for the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dirigent.control.permissions import Actor
from dirigent.core.errors import DirigentError, Finding, Invalid
from dirigent.store.approvals import Approvals
from dirigent.store.archive import Archive
from dirigent.store.bulks import Bulks
from dirigent.store.database import Connection, Database
from dirigent.store.notary import Notary
from dirigent.store.pulse import bump
from dirigent.store.rights import TOPIC
from dirigent.store.runs import Runs
from dirigent.store.schedules import Schedules

__all__ = ["Desk", "Doors", "Fact", "Note", "Publisher", "Taken", "Unknown"]

Fact = str | int | float | bool | None


class Unknown(Invalid):
    """There is nothing of that name or id in this tenant; of what other tenants have, nothing is ever said."""

    code = "not_found"


class Taken(Invalid):
    """What is there already stands in the way: a name that is taken, a thing that has meanwhile changed."""

    code = "conflict"


class Note(msgspec.Struct, frozen=True):
    """What an operation did, for the audit: no secrets, no texts, no names of people."""

    subject: str
    """What it was done to, such as `key:7f3a` or `project:sales`."""
    words: str
    facts: Mapping[str, Fact] = {}


class Publisher(Protocol):
    """Says whether a configuration could be published, by the same rules as a file."""

    def faults(self, document: Mapping[str, Any]) -> Sequence[Finding]:
        """Every fault; none where it is publishable."""
        ...


class _NoPublisher:
    def faults(self, document: Mapping[str, Any]) -> Sequence[Finding]:
        raise DirigentError("nobody here can tell whether a configuration is publishable")


def _no_deployments() -> Mapping[str, tuple[str, str]]:
    return {}


def _no_models() -> Sequence[str]:
    return ()


def _no_node(_: int) -> bool:
    return True


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What operations need from outside the control plane; `server/` hands it in."""

    models: Callable[[], Sequence[str]] = _no_models
    """The names in the catalog of the moment."""
    aliases: Callable[[], Mapping[str, str]] = dict
    """The names that stand for others, and for which."""
    deployments: Callable[[], Mapping[str, tuple[str, str]]] = _no_deployments
    """Of each deployment in the catalog its provider, and how that one calls it."""
    publisher: Publisher = _NoPublisher()
    notary: Notary | None = None
    """Who signs the audit; None where no key that could is in use."""
    approvals: Approvals | None = None
    """The questions that runs wait for; None where no runs are kept."""
    archive: Archive | None = None
    """Where texts are kept; None where none are."""
    runs: Runs | None = None
    """The runs that outlive a process."""
    bulks: Bulks | None = None
    schedules: Schedules | None = None
    webhook_secret: Callable[[str], str] | None = None
    """By which the requests to webhooks of a tenant's runs are signed."""
    reached: Callable[[int], bool] = _no_node
    """Waits until the node that answers knows the rules up to the change of this number; whether it does."""


class Desk:
    """Carries one operation: what it writes on `connection` happens as a whole, together with its line in the audit."""

    __slots__ = ("actor", "changed", "connection", "doors", "later", "notes", "now", "request", "tenant")

    def __init__(
        self,
        connection: Connection,
        actor: Actor,
        tenant: str,
        now: int,
        *,
        doors: Doors | None = None,
        request: str = "",
    ) -> None:
        self.connection = connection
        """The transaction. A reading operation gets one that only reads."""
        self.actor = actor
        self.tenant = tenant
        """Whose things are worked on: every row that is read or written belongs to it."""
        self.now = now
        """Milliseconds since 1970, the same for all that the operation writes."""
        self.doors = doors if doors is not None else Doors()
        self.request = request
        """The id of the request that brought it; empty where none did."""
        self.notes: list[Note] = []
        self.later: Callable[[Database], Any] | None = None
        self.changed = 0
        """The number of the change of rules that is made here; 0 where none is."""

    def change(self) -> int:
        """The number of a change of rules: what is written for it bears it.

        Whoever gives the order hears that it is done once the node that answers knows the change, so that what was
        permitted is permitted by then, and what was forbidden is forbidden.
        """
        self.changed = bump(self.connection, TOPIC)
        return self.changed

    def note(self, subject: str, words: str, **facts: Fact) -> None:
        """Puts a line into the audit, in the same transaction. An operation that notes nothing gets a plain line."""
        self.notes.append(Note(subject, words, facts))

    def afterwards(self, work: Callable[[Database], Any]) -> None:
        """Has `work` done once the transaction is durable; what it returns becomes the outcome.

        For what must not hold a transaction open, such as waiting until all nodes have taken a revision over.
        """
        self.later = work
