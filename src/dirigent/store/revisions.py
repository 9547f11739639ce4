"""Everything that was published: documents under their digests, and who published which of them when and why."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, text

from dirigent.core.canonical import digest, plain, revision_of, stored
from dirigent.core.changes import Change, changes
from dirigent.core.errors import DirigentError, Invalid
from dirigent.core.observations import RevisionPublished
from dirigent.store.happenings import tell
from dirigent.store.pulse import bump

__all__ = [
    "FILE",
    "Act",
    "Publication",
    "UnknownRevision",
    "document_of",
    "head",
    "lock",
    "publication",
    "publications",
    "publish",
    "revision_like",
    "take_file",
]

Act = Literal["publish", "rollback", "file"]
FILE = "file"
"""The author of what came from a node's configuration file."""


class UnknownRevision(Invalid):
    """No revision of that name was ever published."""

    code = "revision_not_found"


class Publication(msgspec.Struct, frozen=True):
    """One line of the history: which document became the present one, by whom and why."""

    number: int
    """Counts up from 1 within the tenant."""
    revision: str
    """The first 12 hex digits of the digest of the document: the same document always has the same."""
    parent: str | None
    """The revision that was present before."""
    author: str
    """The id of who published it."""
    reason: str
    act: Act
    at: int
    """Milliseconds since 1970."""


def head(connection: Connection, tenant: str) -> Publication | None:
    """What is published now; None before the first time."""
    row = connection.execute(
        text("""
            SELECT p.number, p.revision, p.parent, p.author, p.reason, p.act, p.at
            FROM publications p JOIN publication_heads h ON h.tenant = p.tenant AND h.number = p.number
            WHERE p.tenant = :tenant"""),
        {"tenant": tenant},
    ).one_or_none()
    return None if row is None else _publication(row)


def publish(
    connection: Connection,
    tenant: str,
    document: Mapping[str, Any],
    *,
    author: str,
    reason: str,
    now: int,
    act: Act = "publish",
) -> Publication:
    """Makes a document the present one and tells all nodes; what is present already stays, without a new line.

    Raises TypeError where the document is no plain data. That it is publishable is for the caller to make sure of.
    """
    lock(connection, tenant)
    present = head(connection, tenant)
    revision = revision_of(document)
    if present is not None and present.revision == revision:
        return present
    _keep(connection, tenant, revision, document)
    before = {} if present is None else document_of(connection, tenant, present.revision)
    made = Publication(
        number=1 if present is None else present.number + 1,
        revision=revision,
        parent=None if present is None else present.revision,
        author=author,
        reason=reason,
        act=act,
        at=now,
    )
    connection.execute(
        text("""
            INSERT INTO publications (tenant, number, revision, parent, author, reason, act, changes, at)
            VALUES (:tenant, :number, :revision, :parent, :author, :reason, :act, :changes, :at)"""),
        {
            "tenant": tenant,
            "changes": _JSON.encode(changes(before, plain(stored(document)))).decode(),
            **msgspec.structs.asdict(made),
        },
    )
    connection.execute(
        text("""UPDATE publication_heads SET number = :number WHERE tenant = :tenant"""),
        {"tenant": tenant, "number": made.number},
    )
    bump(connection, "catalog")
    told = RevisionPublished(
        tenant=tenant, at=now, revision=revision, parent=made.parent, number=made.number, author=author, act=act
    )
    tell(connection, told)
    return made


def take_file(
    connection: Connection, tenant: str, node: str, document: Mapping[str, Any], now: int
) -> tuple[Publication, bool]:
    """Publishes a node's file where it is news, and says what is present then, and whether the file was taken.

    A file is news when it differs from the one that this node had last. What a restart finds unchanged never overrides
    what was published or rolled back since. The file of a node that nobody knows counts where nothing is published yet,
    or where all that is present came from files and this one was never seen.
    """
    lock(connection, tenant)
    revision = revision_of(document)
    present = head(connection, tenant)
    names = {"tenant": tenant, "node": node, "revision": revision, "at": now}
    last = connection.execute(
        text("""SELECT revision FROM taken_files WHERE tenant = :tenant AND node = :node"""), names
    ).scalar()
    if last is None:
        seen = connection.execute(
            text("""SELECT count(*) FROM taken_files WHERE tenant = :tenant AND revision = :revision"""), names
        ).scalar()
        news = present is None or (present.act == "file" and not seen)
    else:
        news = last != revision
    if last != revision:
        connection.execute(
            text("""
                INSERT INTO taken_files (tenant, node, revision, at) VALUES (:tenant, :node, :revision, :at)
                ON CONFLICT (tenant, node) DO UPDATE SET revision = excluded.revision, at = excluded.at"""),
            names,
        )
    if news or present is None:
        reason = f"the file of the node {node} has changed" if present else f"the file of the node {node}"
        made = publish(connection, tenant, document, author=FILE, reason=reason, now=now, act="file")
        return made, made != present
    return present, False


def document_of(connection: Connection, tenant: str, revision: str) -> dict[str, Any]:
    """The document of a revision. Raises UnknownRevision; DirigentError where it is no longer what was published."""
    row = connection.execute(
        text("""SELECT digest, body FROM documents WHERE tenant = :tenant AND revision = :revision"""),
        {"tenant": tenant, "revision": revision},
    ).one_or_none()
    if row is None:
        raise UnknownRevision(f"there is no revision {revision!r}")
    document = plain(zlib.decompress(row.body))
    if digest(document) != row.digest:
        raise DirigentError(f"the document of the revision {revision} is not the one that was published")
    return document


def revision_like(connection: Connection, tenant: str, words: str) -> str:
    """The revision whose name begins so, of which four letters are needed at least. Raises UnknownRevision."""
    if len(words) < 4 or not words.isalnum():
        raise UnknownRevision(f"{words!r} is no revision: it takes the first four of its letters and digits at least")
    rows = connection.execute(
        text("""
            SELECT revision FROM documents
            WHERE tenant = :tenant AND substr(revision, 1, :length) = :words ORDER BY revision LIMIT 3"""),
        {"tenant": tenant, "words": words.lower(), "length": len(words)},
    ).scalars()
    found = list(rows)
    if not found:
        raise UnknownRevision(f"there is no revision {words!r}")
    if len(found) > 1:
        raise UnknownRevision(f"{words!r} may be {' or '.join(found)}: it takes more letters of its name")
    return str(found[0])


def publications(
    connection: Connection, tenant: str, *, before: int | None = None, limit: int = 50
) -> Sequence[Publication]:
    """The history, the latest first, from below a number."""
    rows = connection.execute(
        text("""
            SELECT number, revision, parent, author, reason, act, at FROM publications
            WHERE tenant = :tenant AND number < :before ORDER BY number DESC LIMIT :limit"""),
        {"tenant": tenant, "before": (1 << 62) if before is None else before, "limit": limit},
    )
    return [_publication(row) for row in rows]


def publication(connection: Connection, tenant: str, number: int) -> tuple[Publication, Sequence[Change]]:
    """One line of the history, and what it changed. Raises UnknownRevision."""
    row = connection.execute(
        text("""
            SELECT number, revision, parent, author, reason, act, at, changes FROM publications
            WHERE tenant = :tenant AND number = :number"""),
        {"tenant": tenant, "number": number},
    ).one_or_none()
    if row is None:
        raise UnknownRevision(f"there is no publication {number}")
    return _publication(row), msgspec.json.decode(row.changes, type=tuple[Change, ...])


_JSON = msgspec.json.Encoder(decimal_format="number")


def _publication(row: Row[Any]) -> Publication:
    return Publication(row.number, row.revision, row.parent, row.author, row.reason, row.act, row.at)


def lock(connection: Connection, tenant: str) -> None:
    """Lets one publication of a tenant happen after the other: what is read from here on stays so until the end."""
    connection.execute(
        text("""
            INSERT INTO publication_heads (tenant, number) VALUES (:tenant, 0)
            ON CONFLICT (tenant) DO UPDATE SET number = publication_heads.number"""),
        {"tenant": tenant},
    )


def _keep(connection: Connection, tenant: str, revision: str, document: Mapping[str, Any]) -> None:
    body = stored(document)
    full = digest(plain(body))
    connection.execute(
        text("""
            INSERT INTO documents (tenant, revision, digest, body) VALUES (:tenant, :revision, :digest, :body)
            ON CONFLICT (tenant, revision) DO NOTHING"""),
        {"tenant": tenant, "revision": revision, "digest": full, "body": zlib.compress(body, 6)},
    )
    kept = connection.execute(
        text("""SELECT digest FROM documents WHERE tenant = :tenant AND revision = :revision"""),
        {"tenant": tenant, "revision": revision},
    ).scalar()
    if kept != full:  # one chance in 2^48 by accident, and a little work on purpose
        raise DirigentError(f"another document has the name {revision} already; change this one in any way")
