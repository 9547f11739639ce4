"""The rows of what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from dirigent.store.knowledge.pieces import Piece

__all__ = ["documents", "forget", "keep_document", "keep_vectors", "learned", "pieces", "unencoded"]


def documents(connection: Connection, tenant: str, collection: str) -> dict[str, str]:
    """What is known of each document: the stamp under which it was learned."""
    rows = connection.execute(
        text("SELECT document, stamp FROM knowledge_documents WHERE tenant = :tenant AND collection = :collection"),
        {"tenant": tenant, "collection": collection},
    )
    return {row.document: row.stamp for row in rows}


def keep_document(
    connection: Connection,
    *,
    tenant: str,
    collection: str,
    document: str,
    stamp: str,
    found: Sequence[Piece],
    fault: str,
    now: int,
) -> None:
    """Puts a document in the place of what was known of it."""
    forget(connection, tenant, collection, document)
    named = {"tenant": tenant, "collection": collection, "document": document}
    connection.execute(
        text("""
            INSERT INTO knowledge_documents (tenant, collection, document, stamp, pieces, fault, learned)
            VALUES (:tenant, :collection, :document, :stamp, :pieces, :fault, :now)"""),
        {**named, "stamp": stamp, "pieces": len(found), "fault": fault, "now": now},
    )
    if found:
        connection.execute(
            text("""
                INSERT INTO knowledge_pieces (tenant, collection, document, position, heading, page, text)
                VALUES (:tenant, :collection, :document, :position, :heading, :page, :text)"""),
            [
                {**named, "position": number, "heading": each.heading, "page": each.page, "text": each.text}
                for number, each in enumerate(found, 1)
            ],
        )


def unencoded(connection: Connection, tenant: str, collection: str, most: int) -> Sequence[Any]:
    """Pieces that have no vector yet."""
    return connection.execute(
        text("""
            SELECT document, position, heading, text FROM knowledge_pieces
            WHERE tenant = :tenant AND collection = :collection AND vector IS NULL
            ORDER BY document, position LIMIT :most"""),
        {"tenant": tenant, "collection": collection, "most": most},
    ).all()


def keep_vectors(
    connection: Connection, tenant: str, collection: str, vectors: Sequence[tuple[str, int, str, bytes]]
) -> None:
    """Gives pieces their vectors, those that still say what was encoded."""
    connection.execute(
        text("""
            UPDATE knowledge_pieces SET vector = :vector
            WHERE tenant = :tenant AND collection = :collection AND document = :document AND position = :position
              AND text = :said"""),
        [
            {"tenant": tenant, "collection": collection, "document": document, "position": position, "said": said,
             "vector": vector}
            for document, position, said, vector in vectors
        ],
    )  # fmt: skip


def pieces(connection: Connection, tenant: str, collection: str) -> Sequence[Any]:
    """All pieces of a collection."""
    return connection.execute(
        text("""
            SELECT document, position, heading, page, text, vector FROM knowledge_pieces
            WHERE tenant = :tenant AND collection = :collection ORDER BY document, position"""),
        {"tenant": tenant, "collection": collection},
    ).all()


def learned(
    connection: Connection, tenant: str, collection: str | None, document: str | None, words: str | None
) -> Sequence[Any]:
    """The documents of a tenant that were learned, by these; with `words`, those in which they stand in any case."""
    found = connection.execute(
        text("""
            SELECT collection, document, pieces, learned, fault FROM knowledge_documents
            WHERE tenant = :tenant AND (:collection = '' OR collection = :collection)
              AND (:document = '' OR document = :document)
            ORDER BY collection, document"""),
        {"tenant": tenant, "collection": collection or "", "document": document or ""},
    ).all()
    if words is None:
        return found
    holding = {(each.collection, each.document) for each in found if _holds(each.document, words)}
    said = connection.execute(  # compared here: what a database calls the same letter in capitals is no umlaut's
        text("SELECT collection, document, heading, text FROM knowledge_pieces WHERE tenant = :tenant"),
        {"tenant": tenant},
    )
    holding |= {
        (each.collection, each.document) for each in said if _holds(each.heading, words) or _holds(each.text, words)
    }
    return [each for each in found if (each.collection, each.document) in holding]


def _holds(said: str, words: str) -> bool:
    """Whether the words stand in it, however they are wrapped over lines."""
    return " ".join(words.casefold().split()) in " ".join(said.casefold().split())


def forget(connection: Connection, tenant: str, collection: str, document: str | None = None) -> int:
    """Deletes what is known of one document, or of all of a collection; how many pieces that were."""
    only = "" if document is None else " AND document = :document"
    named = {"tenant": tenant, "collection": collection, **({} if document is None else {"document": document})}
    where = f"WHERE tenant = :tenant AND collection = :collection{only}"
    gone = connection.execute(text(f"DELETE FROM knowledge_pieces {where}"), named).rowcount  # noqa: S608 -- words of ours
    connection.execute(text(f"DELETE FROM knowledge_documents {where}"), named)  # noqa: S608
    return int(gone)
