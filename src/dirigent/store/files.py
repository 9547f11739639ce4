"""The documents of runs: sealed before they leave this process, bounded in size, and nobody's but their tenant's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from time import time

from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, Row, text

from dirigent.core.errors import Invalid, TooLarge
from dirigent.core.ports import Filed
from dirigent.store.database import Database
from dirigent.store.vault import Envelope, KeyLost, SubjectKey, Vault, enclosed, opened

__all__ = ["LARGEST", "StoredFiles"]

LARGEST = 50 * 1024 * 1024
"""Bytes of one file at most."""


class StoredFiles:
    """The port `Files` over the database."""

    def __init__(self, database: Database, vault: Vault, clock: Callable[[], float] = time) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def keep(
        self, tenant: str, run: str, name: str, content_type: str, data: bytes, *, subject: str = ""
    ) -> Filed:
        """Keeps a file for as long as its run is kept; the same file of the same run and name is there once.

        It is shredded with its subject, else with its run. Raises TooLarge.
        """
        if len(data) > LARGEST:
            raise TooLarge(f"the file {name!r} has {len(data)} bytes, and may have {LARGEST}")
        digest = hashlib.sha256(data).hexdigest()
        # the id says where it belongs, so a step that is done again files nothing twice
        mark = hashlib.sha256(f"{tenant}\n{run}\n{name}\n{digest}".encode()).hexdigest()[:24]
        filed = Filed(f"file-{mark}", name, content_type, len(data), digest)
        at = int(self._clock() * 1000)

        def work(connection: Connection) -> None:
            key = self._key(connection, tenant, run, subject)
            connection.execute(
                text("""
                    INSERT INTO run_files (id, tenant, run, name, content_type, size, digest, at, key, sealed)
                    VALUES (:id, :tenant, :run, :name, :content_type, :size, :digest, :at, :key, :sealed)
                    ON CONFLICT (id) DO NOTHING"""),
                {
                    "id": filed.file,
                    "tenant": tenant,
                    "run": run,
                    "name": name,
                    "content_type": content_type,
                    "size": len(data),
                    "digest": digest,
                    "at": at,
                    "key": key.envelope.id,
                    "sealed": enclosed(key.cipher, data, _about(tenant, filed.file)),
                },
            )

        await self._database.writing(work)
        return filed

    async def read(self, tenant: str, file: str) -> tuple[Filed, bytes]:
        """The file of this id. Raises Invalid where this tenant has none, KeyLost where it was shredded."""
        row = await self._database.reading(lambda connection: _found(connection, tenant, file))
        if row is None:
            raise Invalid(f"there is no file {file!r}", param="file")
        if row.key is None:
            raise KeyLost(f"the file {file} was shredded")
        envelope = Envelope(row.key, row.key_tenant, bytes(row.subject), row.epoch, bytes(row.wrapped), row.made)
        try:
            data = opened(self._vault.opening(envelope), bytes(row.sealed), _about(tenant, file))
        except InvalidTag:
            raise KeyLost(f"the file {file} was tampered with") from None
        return Filed(row.id, row.name, row.content_type, row.size, row.digest), data

    def _key(self, connection: Connection, tenant: str, run: str, subject: str) -> SubjectKey:
        """The key that shreds the file: that of its subject, else that of its run, else one of the day."""
        if not subject:
            row = connection.execute(
                text("""
                    SELECT k.id, k.tenant, k.subject, k.epoch, k.wrapped, k.made
                    FROM runs r JOIN subject_keys k ON k.id = r.key WHERE r.id = :run AND r.tenant = :tenant"""),
                {"run": run, "tenant": tenant},
            ).one_or_none()
            if row is not None:
                envelope = Envelope(row.id, row.tenant, bytes(row.subject), row.epoch, bytes(row.wrapped), row.made)
                return SubjectKey(envelope, self._vault.opening(envelope))
        for _ in range(2):
            key = self._vault.key(tenant, subject or f"*{run}")
            if self._vault.admitted(connection, key.envelope):
                return key
            self._vault.forget()
        raise KeyLost("what is known of this subject is being erased")


def _found(connection: Connection, tenant: str, file: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(
        text("""
            SELECT f.id, f.name, f.content_type, f.size, f.digest, f.sealed,
                   k.id AS key, k.tenant AS key_tenant, k.subject, k.epoch, k.wrapped, k.made
            FROM run_files f LEFT JOIN subject_keys k ON k.id = f.key
            WHERE f.tenant = :tenant AND f.id = :file"""),
        {"tenant": tenant, "file": file},
    ).one_or_none()


def _about(tenant: str, file: str) -> bytes:
    return f"file|{tenant}|{file}".encode()
