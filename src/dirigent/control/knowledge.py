"""Operations on what was learned for retrieval: which documents there are, and how they are forgotten."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.control.operation import operation
from dirigent.core.errors import Invalid
from dirigent.store.knowledge import rows

Collection = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Document = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
Words = Annotated[str, msgspec.Meta(min_length=3, max_length=512)]


class Learnt(msgspec.Struct, frozen=True):
    """A document that was learned."""

    collection: str
    document: str
    pieces: int
    learned: int
    """When, in milliseconds since 1970."""
    fault: str
    """Why nothing was learned of it; empty otherwise."""


class KnowledgeAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which documents."""

    collection: Collection | None = None
    subject: Words | None = None
    """Those alone in which this stands, such as a person's name or number; capitals do not matter."""


class KnowledgeListed(msgspec.Struct, frozen=True):
    """The documents that were learned."""

    documents: tuple[Learnt, ...]


class KnowledgeChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be forgotten: of one collection, of one document in it, or about somebody."""

    collection: Collection | None = None
    document: Document | None = None
    subject: Words | None = None
    """Each document in which this stands, such as a person's name or number, is forgotten as a whole."""


class KnowledgeForgotten(msgspec.Struct, frozen=True):
    """What is no more."""

    documents: tuple[str, ...]
    """Each as `collection/document`."""
    pieces: int


@operation("knowledge.list", permission="bodies.see", changes=False, audited=True)
def list_knowledge(desk: Desk, order: KnowledgeAsked) -> KnowledgeListed:
    """Lists the documents that were learned for retrieval, or those in which something stands. The look is audited."""
    found = rows.learned(desk.connection, desk.tenant, order.collection, None, order.subject)
    desk.note(_about(order.subject, order.collection), "was looked for in what was learned", documents=len(found))
    return KnowledgeListed(
        tuple(Learnt(each.collection, each.document, each.pieces, each.learned, each.fault) for each in found)
    )


@operation("knowledge.forget", permission="bodies.erase", changes=True)
def forget_knowledge(desk: Desk, order: KnowledgeChosen) -> KnowledgeForgotten:
    """Forgets what was learned from a collection or a document, or every document in which a subject stands.

    Take the files out of their folder first: what is still there is learned again by the next question. Every worker
    lets go of its copy within seconds, with the next question.
    """
    if order.collection is None and order.subject is None:
        raise Invalid("name the collection, or the subject whose documents are to be forgotten", param="collection")
    if order.document is not None and order.collection is None:
        raise Invalid("name the collection of the document", param="collection")
    found = rows.learned(desk.connection, desk.tenant, order.collection, order.document, order.subject)
    if not found:
        raise Unknown("nothing like it was learned", param="collection" if order.subject is None else "subject")
    gone = sum(rows.forget(desk.connection, desk.tenant, each.collection, each.document) for each in found)
    about = _about(order.subject, order.collection)
    desk.note(about, "was forgotten of what was learned", documents=len(found), pieces=gone)
    return KnowledgeForgotten(tuple(f"{each.collection}/{each.document}" for each in found), gone)


def _about(subject: str | None, collection: str | None) -> str:
    """What the audit says it is about; it never names a subject."""
    if subject is not None:
        return "knowledge:subject"
    return f"collection:{collection or 'all'}"
