"""Operations on aliases, and on the nodes that serve what they point at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.control.operation import operation
from dirigent.control.people import Nothing
from dirigent.control.restoring import section
from dirigent.control.revisions import Letters, ModelName
from dirigent.core.aliases import WHOLE, Alias, Share
from dirigent.core.errors import Invalid
from dirigent.store import aliases, nodes, revisions

Thousandths = Annotated[int, msgspec.Meta(ge=0, le=WHOLE)]


class AliasSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a name is to point."""

    name: ModelName
    model: ModelName
    revision: Letters | None = None
    """The revision of the model; where none is named, the model as it stands."""
    canary: Letters | None = None
    """A revision that gets a share before all of it."""
    share: Thousandths = 0
    """Its share, in thousandths."""


class AliasRow(msgspec.Struct, frozen=True):
    """A name and where it points."""

    name: str
    model: str
    shares: tuple[Share, ...]


class AliasesListed(msgspec.Struct, frozen=True):
    """All names that point at models."""

    aliases: tuple[AliasRow, ...]


class AliasChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which name."""

    name: ModelName


class AliasGone(msgspec.Struct, frozen=True):
    """The name that points nowhere any more."""

    name: str


class NodeRow(msgspec.Struct, frozen=True):
    """A worker of a node, and what it serves."""

    node: str
    worker: str
    revision: str
    number: int
    seen: int


class NodesListed(msgspec.Struct, frozen=True):
    """The workers that have been heard of within the last seconds."""

    nodes: tuple[NodeRow, ...]


@operation("aliases.set", permission="models.publish", changes=True)
def set_alias(desk: Desk, order: AliasSet) -> AliasRow:
    """Lets a name point at a model, at a revision of it, or at two of them by shares."""
    revisions.lock(desk.connection, desk.tenant)  # or a model of that name could be published in the meantime
    present = revisions.head(desk.connection, desk.tenant)
    if present is not None and order.name in _models(desk, present.revision):
        raise Invalid(f"name: there is a model called {order.name!r} already", param="name")
    base = _revision_with(desk, order.model, order.revision, "revision")
    shares: tuple[Share, ...] = (Share(base, WHOLE),)
    if order.canary is not None:
        canary = _revision_with(desk, order.model, order.canary, "canary")
        shares = (Share(canary, order.share), Share(base, WHOLE - order.share))
    elif order.share:
        raise Invalid("share: it takes a canary that gets it", param="share")
    alias = Alias(order.name, order.model, shares)
    aliases.point(desk.connection, desk.tenant, alias, author=desk.actor.id, now=desk.now)
    said = {share.revision or "present": share.share for share in shares}
    desk.note(f"alias:{order.name}", f"points at {order.model}", **said)
    return AliasRow(alias.name, alias.model, alias.shares)


@operation("aliases.list", permission="models.see", changes=False)
def list_aliases(desk: Desk, order: Nothing) -> AliasesListed:  # noqa: ARG001  each operation takes an order
    """Lists the names that point at models."""
    found = aliases.aliases(desk.connection, desk.tenant)
    return AliasesListed(tuple(AliasRow(alias.name, alias.model, alias.shares) for alias in found))


@operation("aliases.remove", permission="models.publish", changes=True)
def remove_alias(desk: Desk, order: AliasChosen) -> AliasGone:
    """Removes a name that points at a model."""
    if not aliases.drop_alias(desk.connection, desk.tenant, order.name):
        raise Unknown(f"there is no alias {order.name!r}")
    desk.note(f"alias:{order.name}", "is removed")
    return AliasGone(order.name)


@operation("nodes.list", permission="models.see", changes=False)
def list_nodes(desk: Desk, order: Nothing) -> NodesListed:  # noqa: ARG001  each operation takes an order
    """Lists the workers that serve, and which revision each of them serves."""
    found = nodes.posts(desk.connection, desk.tenant)
    return NodesListed(tuple(NodeRow(post.node, post.worker, post.revision, post.number, post.seen) for post in found))


def _revision_with(desk: Desk, model: str, letters: str | None, field: str) -> str | None:
    """The revision, once it is known to have the model; None for whichever is present."""
    revision = _named(desk, letters)
    if model not in _models(desk, revision):
        raise Invalid(f"{field}: the revision {revision} has no model {model!r}", param=field)
    return None if letters is None else revision


def _models(desk: Desk, revision: str) -> Mapping[str, Any]:
    return section(revisions.document_of(desk.connection, desk.tenant, revision), "models")


def _named(desk: Desk, letters: str | None) -> str:
    if letters is not None:
        return revisions.revision_like(desk.connection, desk.tenant, letters)
    present = revisions.head(desk.connection, desk.tenant)
    if present is None:
        raise Unknown("nothing is published yet")
    return present.revision
