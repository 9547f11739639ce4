"""What was asked and answered, where a purpose keeps it: sealed one by one before it leaves this process.

Each text has a key of its own, which is sealed by the key of the subject that the text is about. Where nobody is named,
that is a key of the day, so that a day's texts can be shredded together too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Row, bindparam, text

from dirigent.store.audit import commitment
from dirigent.store.database import Database
from dirigent.store.vault import Envelope, KeyLost, Vault, enclosed, opened

__all__ = ["Bodies", "Body", "BodyKind", "Sealed", "Text", "scrub"]

BodyKind = Literal["asked", "answered"]
_SALT = 16
_NONCE = 12
_UNUSED = 7 * 86_400_000
"""Milliseconds after which a key that seals nothing goes: no new text is sealed with it by then."""
_PLAIN, _SHORTER = b"\0", b"\1"


class Body(msgspec.Struct, frozen=True):
    """A text on its way into the database."""

    tenant: str
    run: str
    kind: BodyKind
    text: bytes
    at: int
    expires: int
    """When it must be gone, in milliseconds since 1970."""
    subject: str = ""
    """Whom it is about, as the caller named them; empty where nobody is named."""
    salt: bytes = msgspec.field(default_factory=lambda: token_bytes(_SALT))

    @property
    def commitment(self) -> str:
        """What the audit may say of this text."""
        return commitment(self.salt, self.text)


class Sealed(msgspec.Struct, frozen=True):
    """The same, as it is stored and as it may wait in a file."""

    tenant: str
    run: str
    kind: BodyKind
    dek: bytes
    nonce: bytes
    sealed: bytes
    at: int
    expires: int
    envelope: Envelope


class Text(msgspec.Struct, frozen=True):
    """A text that was kept, open again."""

    run: str
    kind: BodyKind
    text: bytes
    at: int
    commitment: str


class Bodies:
    """Seals texts, writes them in batches, and opens them again for who may read them."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.shredded = 0
        """Texts that were not written, because their key was destroyed while they were on their way."""

    def sealed(self, bodies: Iterable[Body]) -> Sequence[Sealed]:
        """The texts as they may be stored. Raises KeyLost where this node lacks the keys to do so."""
        return [self._seal(body) for body in bodies]

    def write_many(self, connection: Connection, rows: Sequence[Sealed]) -> int:
        """Stores texts; one that is there already stays. How many were stored: what was shredded meanwhile is not."""
        envelopes = {row.envelope.id: row.envelope for row in rows}
        admitted = {key for key in sorted(envelopes) if self._vault.admitted(connection, envelopes[key])}
        stored = [row for row in rows if row.envelope.id in admitted]
        if len(stored) < len(rows):
            self.shredded += len(rows) - len(stored)
            self._vault.forget()
        if stored:
            connection.execute(
                text("""
                    INSERT INTO bodies (tenant, run, kind, key, dek, nonce, sealed, at, expires)
                    VALUES (:tenant, :run, :kind, :key, :dek, :nonce, :sealed, :at, :expires)
                    ON CONFLICT (tenant, run, kind) DO NOTHING"""),
                [
                    {
                        "tenant": row.tenant,
                        "run": row.run,
                        "kind": row.kind,
                        "key": row.envelope.id,
                        "dek": row.dek,
                        "nonce": row.nonce,
                        "sealed": row.sealed,
                        "at": row.at,
                        "expires": row.expires,
                    }
                    for row in stored
                ],
            )
        return len(stored)

    def read(self, connection: Connection, tenant: str, run: str) -> Sequence[Text]:
        """What is kept of a run. Raises KeyLost where its key was shredded, or a byte of it was changed."""
        rows = connection.execute(
            text("""
                SELECT b.run, b.kind, b.dek, b.nonce, b.sealed, b.at,
                       k.id, k.tenant, k.subject, k.epoch, k.wrapped, k.made
                FROM bodies b LEFT JOIN subject_keys k ON k.id = b.key
                WHERE b.tenant = :tenant AND b.run = :run ORDER BY b.kind DESC"""),
            {"tenant": tenant, "run": run},
        )
        return [self._open(tenant, row) for row in rows]

    def delete(self, connection: Connection, tenant: str, run: str) -> int:
        """Removes what is kept of a run; how many texts that were."""
        return connection.execute(
            text("""DELETE FROM bodies WHERE tenant = :tenant AND run = :run"""), {"tenant": tenant, "run": run}
        ).rowcount

    def shred(self, connection: Connection, tenant: str, subject: str) -> int:
        """Removes all that is kept about a subject, and the keys to every copy of it; how many texts that were."""
        keys = self._vault.shred(connection, tenant, subject)
        if not keys:
            return 0
        query = text("""DELETE FROM bodies WHERE tenant = :tenant AND key IN :keys""")
        found = connection.execute(
            query.bindparams(bindparam("keys", expanding=True)), {"tenant": tenant, "keys": list(keys)}
        )
        return found.rowcount

    def expire(self, connection: Connection, now: int, limit: int = 10_000) -> int:
        """Removes texts whose time is over, `limit` at a time, and keys that seal nothing any more; how many texts."""
        gone = connection.execute(
            text("""
                DELETE FROM bodies WHERE (tenant, run, kind) IN (
                    SELECT tenant, run, kind FROM bodies WHERE expires <= :now ORDER BY expires LIMIT :limit)"""),
            {"now": now, "limit": limit},
        ).rowcount
        if gone < limit:
            connection.execute(
                text("""
                    DELETE FROM subject_keys
                    WHERE made < :long_ago AND NOT EXISTS (SELECT 1 FROM bodies b WHERE b.key = subject_keys.id)
                    AND NOT EXISTS (SELECT 1 FROM bulk_rows w WHERE w.key = subject_keys.id)
                    AND NOT EXISTS (SELECT 1 FROM schedules s WHERE s.key = subject_keys.id)
                    AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.key = subject_keys.id)
                    AND NOT EXISTS (SELECT 1 FROM approval_votes v WHERE v.key = subject_keys.id)
                    AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.key = subject_keys.id)
                    AND NOT EXISTS (SELECT 1 FROM run_files f WHERE f.key = subject_keys.id)"""),
                {"long_ago": now - _UNUSED},
            )
        return gone

    def _seal(self, body: Body) -> Sealed:
        subject = body.subject or f"*{datetime.fromtimestamp(body.at / 1000, UTC):%Y-%m-%d}"
        key = self._vault.key(body.tenant, subject)
        about = _about(body.tenant, body.run, body.kind)
        secret = token_bytes(32)
        nonce = token_bytes(_NONCE)
        short = zlib.compress(body.text, 1)
        content = _SHORTER + body.salt + short if len(short) < len(body.text) else _PLAIN + body.salt + body.text
        return Sealed(
            body.tenant,
            body.run,
            body.kind,
            enclosed(key.cipher, secret, about),
            nonce,
            AESGCM(secret).encrypt(nonce, content, about),
            body.at,
            body.expires,
            key.envelope,
        )

    def _open(self, tenant: str, row: Row[Any]) -> Text:
        if row.id is None:
            raise KeyLost(f"what was kept of the run {row.run} was shredded")
        about = _about(tenant, row.run, row.kind)
        envelope = Envelope(row.id, row.tenant, bytes(row.subject), row.epoch, bytes(row.wrapped), row.made)
        try:
            secret = opened(self._vault.opening(envelope), bytes(row.dek), about)
            content = AESGCM(secret).decrypt(bytes(row.nonce), bytes(row.sealed), about)
        except InvalidTag:
            raise KeyLost(f"what was kept of the run {row.run} was tampered with") from None
        salt, rest = content[1 : 1 + _SALT], content[1 + _SALT :]
        found = zlib.decompress(rest) if content[:1] == _SHORTER else rest
        return Text(row.run, row.kind, found, row.at, commitment(salt, found))


def scrub(database: Database) -> None:
    """Lets the database's own files forget what was deleted: its log is cut, or its tables are swept."""
    connection = database.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        if database.lite:
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return
        driver.autocommit = True
        for table in ("bodies", "subject_keys"):
            driver.execute(f"VACUUM {table}")
        driver.autocommit = False
    finally:
        connection.close()


def _about(tenant: str, run: str, kind: BodyKind) -> bytes:
    """What binds a text to its place; no id has a `|`, so no two places have the same."""
    return f"{tenant}|{run}|{kind}".encode()
