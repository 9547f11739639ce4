"""Operations on what is published: revisions, and ways back to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.control.fields import Title
from dirigent.control.operation import operation
from dirigent.control.restoring import restored, section
from dirigent.core.canonical import plain, stored
from dirigent.core.changes import changes
from dirigent.core.errors import Finding, Invalid, InvalidConfiguration
from dirigent.store import aliases, nodes, revisions
from dirigent.store.database import Database
from dirigent.store.revisions import Act, Publication

PATIENCE = 1.0
"""Seconds that an answer waits for all nodes to follow."""
_LOOK_EVERY = 0.01

Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Letters = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{4,12}$(?!\n)")]
"""A revision, or the first four of its letters at least."""


class NewRevision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be published, and why."""

    document: dict[str, Any]
    """The whole configuration, as it would stand in a file."""
    reason: Title = ""
    onto: Letters | None = None
    """The revision that the author has seen: where another is present by now, nothing is published."""


class WayBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to go back, and to where."""

    model: ModelName | None = None
    """Only this model; everything where none is named."""
    to: Letters | None = None
    """The revision; where none is named, the one before the last change to it."""
    reason: Title = ""


class Published(msgspec.Struct, frozen=True):
    """What is published now, and who serves it."""

    revision: str
    number: int
    """Which publication of the tenant it is."""
    parent: str | None
    nodes: int
    """Workers that serve it."""
    lagging: tuple[str, ...]
    """Nodes that have not said within a second that they do."""
    milliseconds: int
    """From the beginning of the operation until the last of them did."""


class RevisionsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the history."""

    before: Number | None = None
    """Publications below this number; the latest where none is given."""
    limit: Limit = 50


class RevisionRow(msgspec.Struct, frozen=True):
    """One publication."""

    number: int
    revision: str
    parent: str | None
    author: str
    reason: str
    act: Act
    """`publish`, `rollback`, or `file` where a node's file had changed."""
    at: int


class RevisionsListed(msgspec.Struct, frozen=True):
    """The history, the latest first."""

    revisions: tuple[RevisionRow, ...]


class RevisionChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which revision; the present one where none is named."""

    revision: Letters | None = None


class RevisionShown(msgspec.Struct, frozen=True):
    """A revision and all that it says."""

    revision: str
    document: msgspec.Raw


class RevisionsCompared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which two revisions."""

    revision: Letters
    with_: Letters | None = msgspec.field(name="with", default=None)
    """The older one; where none is named, the one that the first was published upon."""


class RevisionsDiffer(msgspec.Struct, frozen=True):
    """Where two revisions differ."""

    before: str | None
    after: str
    changes: msgspec.Raw
    """A list of places, each with its `path`, and `before` and `after` where something stood or stands there."""


@operation("revisions.publish", permission="models.publish", changes=True)
def publish(desk: Desk, order: NewRevision) -> Published:
    """Publishes a configuration: all of it or nothing, on every node and without a restart."""
    revisions.lock(desk.connection, desk.tenant)
    present = revisions.head(desk.connection, desk.tenant)
    if order.onto is not None and (present is None or not present.revision.startswith(order.onto.lower())):
        there = "nothing" if present is None else f"revision {present.revision}"
        raise Invalid(f"onto: {there} is published, and not revision {order.onto}: look at it first", param="onto")
    return _made_present(desk, plain(stored(order.document)), "publish", order.reason, "publishes")


@operation("revisions.rollback", permission="models.publish", changes=True)
def rollback(desk: Desk, order: WayBack) -> Published:
    """Goes back to an earlier revision: everything, or one model together with what it needs.

    The way back is a publication of its own: the history only grows.
    """
    revisions.lock(desk.connection, desk.tenant)
    if order.model is None:
        document, to = _everything(desk, order.to)
        return _made_present(desk, document, "rollback", order.reason or f"back to {to}", f"goes back to {to}")
    document, to = _one_model(desk, order.model, order.to)
    words = f"takes {order.model} back to {to}"
    return _made_present(desk, document, "rollback", order.reason or f"{order.model} back to {to}", words)


@operation("revisions.list", permission="models.see", changes=False)
def history(desk: Desk, order: RevisionsAsked) -> RevisionsListed:
    """Lists what was published, by whom and why."""
    lines = revisions.publications(desk.connection, desk.tenant, before=order.before, limit=order.limit)
    return RevisionsListed(tuple(_row(line) for line in lines))


@operation("revisions.show", permission="models.see", changes=False)
def show(desk: Desk, order: RevisionChosen) -> RevisionShown:
    """Shows all that a revision says."""
    revision = _named(desk, order.revision)
    document = revisions.document_of(desk.connection, desk.tenant, revision)
    return RevisionShown(revision, msgspec.Raw(stored(document)))


@operation("revisions.diff", permission="models.see", changes=False)
def diff(desk: Desk, order: RevisionsCompared) -> RevisionsDiffer:
    """Shows where two revisions differ."""
    after = revisions.revision_like(desk.connection, desk.tenant, order.revision)
    before = _parent(desk, after) if order.with_ is None else _named(desk, order.with_)
    old = {} if before is None else revisions.document_of(desk.connection, desk.tenant, before)
    new = revisions.document_of(desk.connection, desk.tenant, after)
    return RevisionsDiffer(before, after, msgspec.Raw(_FIGURES.encode(changes(old, new))))


# --- publishing -------------------------------------------------------------------------------------------------------


def _made_present(desk: Desk, document: dict[str, Any], act: Act, reason: str, words: str) -> Published:
    faults = desk.doors.publisher.faults(document)
    if faults := (*faults, *_names_of_aliases(desk, document)):
        raise InvalidConfiguration(faults)
    begun = time.monotonic()
    made = revisions.publish(
        desk.connection, desk.tenant, document, author=desk.actor.id, reason=reason, now=desk.now, act=act
    )
    desk.note(f"revision:{made.revision}", words, number=made.number, parent=made.parent)
    desk.afterwards(partial(_followed, tenant=desk.tenant, made=made, begun=begun))
    return _told(made, (), (), begun)  # what a desk gives that does nothing afterwards


def _names_of_aliases(desk: Desk, document: Mapping[str, Any]) -> Iterator[Finding]:
    """The models that would be called as an alias is: whom a caller means by such a name, nobody could say."""
    models = section(document, "models")
    for alias in aliases.aliases(desk.connection, desk.tenant):
        if alias.name in models:
            words = f"there is an alias of this name, which points at {alias.model!r}: remove it first, or rename one"
            yield Finding(("models", alias.name), words)


def _followed(database: Database, *, tenant: str, made: Publication, begun: float) -> Published:
    """What is published, once all nodes that live have said that they serve it, or time is up."""
    waited = time.monotonic()
    while True:
        found = database.read(partial(nodes.posts, tenant=tenant))
        late = [post for post in found if post.number < made.number]
        if not late or time.monotonic() - waited > PATIENCE:
            return _told(made, found, late, begun)
        time.sleep(_LOOK_EVERY)


def _told(made: Publication, found: Sequence[nodes.Post], late: Sequence[nodes.Post], begun: float) -> Published:
    return Published(
        made.revision,
        made.number,
        made.parent,
        len(found) - len(late),
        tuple(sorted({post.node for post in late})),
        round((time.monotonic() - begun) * 1000),
    )


# --- ways back --------------------------------------------------------------------------------------------------------


def _everything(desk: Desk, to: str | None) -> tuple[dict[str, Any], str]:
    present = _head(desk)
    if to is not None:
        revision = revisions.revision_like(desk.connection, desk.tenant, to)
    elif present.parent is not None:
        revision = present.parent
    else:
        raise Invalid("there is nothing to go back to: this is the first revision")
    return revisions.document_of(desk.connection, desk.tenant, revision), revision


def _one_model(desk: Desk, model: str, to: str | None) -> tuple[dict[str, Any], str]:
    """The present document with an earlier definition of one model."""
    present = revisions.document_of(desk.connection, desk.tenant, _head(desk).revision)
    revision, old = _earlier(desk, model, present, to)
    return restored(model, old, present, desk.doors.publisher.faults), revision


def _earlier(desk: Desk, model: str, present: Mapping[str, Any], to: str | None) -> tuple[str, dict[str, Any]]:
    """The revision with the definition to go back to: the named one, or the last with another one than now."""
    if to is not None:
        revision = revisions.revision_like(desk.connection, desk.tenant, to)
        old = revisions.document_of(desk.connection, desk.tenant, revision)
        if model not in section(old, "models"):
            raise Unknown(f"the revision {revision} has no model {model!r}")
        return revision, old
    now = section(present, "models").get(model)
    for revision in _past(desk):
        old = revisions.document_of(desk.connection, desk.tenant, revision)
        definition = section(old, "models").get(model)
        if definition is not None and definition != now:
            return revision, old
    raise Invalid(f"model: no earlier revision has another {model!r} than the present one", param="model")


def _past(desk: Desk) -> Iterator[str]:
    """Every revision before the present one, the latest first, each once."""
    seen = {_head(desk).revision}
    before: int | None = None
    while page := revisions.publications(desk.connection, desk.tenant, before=before):
        for line in page:
            if line.revision not in seen:
                seen.add(line.revision)
                yield line.revision
        before = page[-1].number


# --- finding ----------------------------------------------------------------------------------------------------------

_FIGURES = msgspec.json.Encoder(decimal_format="number")


def _head(desk: Desk) -> Publication:
    present = revisions.head(desk.connection, desk.tenant)
    if present is None:
        raise Unknown("nothing is published yet")
    return present


def _named(desk: Desk, letters: str | None) -> str:
    if letters is None:
        return _head(desk).revision
    return revisions.revision_like(desk.connection, desk.tenant, letters)


def _parent(desk: Desk, revision: str) -> str | None:
    before: int | None = None
    while page := revisions.publications(desk.connection, desk.tenant, before=before):
        for line in page:
            if line.revision == revision:
                return line.parent
        before = page[-1].number
    return None


def _row(line: Publication) -> RevisionRow:
    return RevisionRow(line.number, line.revision, line.parent, line.author, line.reason, line.act, line.at)
