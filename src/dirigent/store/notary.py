"""Who signs the audit: a key outside the database vouches for each chain as it grows, and anchors tell other places.

A signature is given only to a chain that continues what was signed before: whoever rewrites the table gets none.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event, RLock, Thread
from time import time
from typing import BinaryIO, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import Connection, text

from dirigent.core.errors import DirigentError
from dirigent.store.audit import anchor_line, checkpoints, head, lines, prune_entries, tenants
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.keyfiles import written_once
from dirigent.store.verifier import Checkpoint, genesis, public_key, read_anchors, signed_bytes, verify

__all__ = ["AuditKey", "ChainBroken", "Notary", "Place", "folder", "trusted_keys"]

_log = logging.getLogger("dirigent.audit")
_EVERY = 5.0
_ENTRIES = 1_000
"""Entries after which a chain is signed, however young they are."""
_AGE = 60_000
"""Milliseconds after which it is signed, however few they are."""
_TRIES = 5
_NEVER = 1 << 62

Kind = Literal["checkpoint", "start", "stop", "order", "pruned"]
Place = Callable[[bytes], None]
"""Somewhere beyond this machine's reach that keeps anchors: takes a line, and raises where it could not keep it."""


class ChainBroken(DirigentError):
    """A chain no longer continues what was signed of it; it gets no further signature."""

    code = "audit_broken"


class AuditKey:
    """The private key that signs, and the public one that everybody may have."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        """The public key in hex."""

    @classmethod
    def within(cls, keys: Path) -> AuditKey:
        """The key in `audit.key` of this folder, made the first time, with `audit.pub` beside it for others."""
        made = Ed25519PrivateKey.generate()
        raw = written_once(keys / "audit.key", made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key = load_pem_private_key(raw, None)
        if not isinstance(key, Ed25519PrivateKey):
            raise DirigentError(f"{keys / 'audit.key'} holds no key of Ed25519")
        written_once(keys / "audit.pub", key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return cls(key)

    def sign(self, statement: str) -> str:
        """The signature on a statement, in hex."""
        return self._key.sign(signed_bytes(statement)).hex()


class Notary:
    """Signs the chains of all tenants: after 1,000 entries or a minute, at start and stop, and when asked to.

    Of the workers of one data folder one does so at a time. Each signature is also kept in a file of the folder, which
    whoever has rights on the database alone cannot reach, and told to every place.
    """

    def __init__(
        self,
        database: Database,
        key: AuditKey,
        folder: Path,
        *,
        places: Sequence[Place] = (),
        trusted: Sequence[str] = (),
        clock: Callable[[], float] = time,
    ) -> None:
        self.key = key
        self.broken: dict[str, str] = {}
        """The tenants whose chains get no signature any more, and why."""
        self.untold = 0
        """Anchors that some place has not taken yet."""
        self._database = database
        self._folder = folder
        self.trusted = {key.public, *trusted}
        """The public keys whose signatures count here."""
        self._places = list(places)
        self._queues: list[list[bytes]] = [[] for _ in self._places]
        self._clock = clock
        self._last: dict[str, tuple[int, str]] = {}
        self._turns = RLock()
        self._lock: BinaryIO | None = None
        self._ending = Event()
        self._thread = Thread(target=self._run, name="notary", daemon=True)

    def start(self) -> None:
        """Signs what stands, and goes on doing so."""
        self._thread.start()

    def close(self) -> None:
        """Signs what is there for the last time, and ends."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock is not None:
            try:
                self.round("stop")
            except DatabaseGone as fault:
                _log.warning("the audit could not be signed at the end: %s", fault.message)
            self._lock.close()
            self._lock = None

    def sign(self, tenant: str, kind: Kind = "order") -> Checkpoint | None:
        """Signs the chain of a tenant as it stands; None where it is still empty.

        Raises ChainBroken where the chain does not continue what was signed before, DatabaseGone.
        """
        with self._turns:
            for _ in range(_TRIES):
                end = self._database.read(partial(self._checked, tenant=tenant, known=self._known(tenant)))
                if end[0] == 0:
                    return None
                point = self._database.write(partial(self._signed, tenant=tenant, kind=kind, end=end))
                if point is not None:
                    self._keep(point)
                    return point
            return None  # another node signs this chain, faster than we read it

    def prune(self, tenant: str, before: int) -> int:
        """Removes the entries older than this time, leaving a signature on what they were; how many they were.

        Raises ChainBroken, DatabaseGone.
        """
        with self._turns:
            known = self._known(tenant)
            self._database.read(lambda connection: self._checked(connection, tenant, known))

            def work(connection: Connection) -> tuple[int, Checkpoint | None]:
                row = connection.execute(
                    text("""
                        SELECT seq, hash FROM audit_entries WHERE tenant = :tenant AND at < :before
                        ORDER BY seq DESC LIMIT 1"""),
                    {"tenant": tenant, "before": before},
                ).one_or_none()
                if row is None:
                    return 0, None
                since = self._first_kept(connection, tenant, row.seq)
                point = self._signed(connection, tenant, "pruned", (row.seq, row.hash), since)
                return prune_entries(connection, tenant, row.seq, since), point

            gone, point = self._database.write(work)
            if point is not None:
                self._keep(point)
            return gone

    def anchors(self, tenant: str) -> Sequence[Checkpoint]:
        """What this folder remembers of the signatures on a tenant's chain."""
        file = self._file(tenant)
        return read_anchors(file) if file.exists() else ()

    def round(self, kind: Kind = "checkpoint") -> None:
        """Signs every chain that is due, tells the places, and logs what cannot be signed."""
        now = self._now()
        with self._turns:
            for tenant in self._database.read(lambda connection: _due(connection, now, everybody=kind != "checkpoint")):
                try:
                    self.sign(tenant, kind)
                except ChainBroken as fault:
                    if self.broken.get(tenant) != fault.message:
                        _log.error("%s", fault.message)
                    self.broken[tenant] = fault.message
            self.tell()

    def _run(self) -> None:
        kind: Kind = "start"
        pause = 0.0
        while not self._ending.wait(pause):
            pause = _EVERY
            try:
                if self._mine():
                    self.round(kind)
                    kind = "checkpoint"
            except Exception as fault:  # noqa: BLE001 -- the database may be away; the next round may find it
                _log.warning("the audit could not be signed: %s", type(fault).__name__)

    def _mine(self) -> bool:
        """Whether this process signs; one of a data folder does."""
        if self._lock is not None:
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        file = (self._folder / "notary.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lock = file
        return True

    def _checked(self, connection: Connection, tenant: str, known: tuple[int, str] | None) -> tuple[int, str]:
        """The end of the chain, once all from what was last signed up to it was found to hang together."""
        end = head(connection, tenant)
        points = checkpoints(connection, tenant)
        start = known or max(((point.seq, point.hash) for point in points), default=(0, genesis(tenant).hex()))
        for point in points:  # what somebody whom we trust has pruned need not be there
            if point.kind == "pruned" and point.seq > start[0] and point.key in self.trusted and point.holds():
                start = (point.seq, point.hash)
        if start[0] > end[0]:
            raise ChainBroken(f"the audit of {tenant} was signed up to entry {start[0]} and now ends at {end[0]}")
        there = connection.execute(
            text("""SELECT hash FROM audit_entries WHERE tenant = :tenant AND seq = :seq"""),
            {"tenant": tenant, "seq": start[0]},
        ).scalar()
        if there not in (None, start[1]):
            raise ChainBroken(f"the audit of {tenant} was changed: entry {start[0]} is not the one that was signed")
        found = lines(connection, tenant, start[0], end[0])
        verdict = verify(tenant, found, (), head=end, start=start, patience=_NEVER)
        if not verdict.ok:
            raise ChainBroken(f"the audit of {tenant} was changed: {verdict.faults[0].words}")
        return end

    def _signed(
        self, connection: Connection, tenant: str, kind: Kind, end: tuple[int, str], since: int = 1
    ) -> Checkpoint | None:
        """The signature on this end of the chain; None where another node has signed more of it meanwhile."""
        row = connection.execute(
            text("""UPDATE audit_heads SET signed = signed WHERE tenant = :tenant RETURNING at"""), {"tenant": tenant}
        ).one()
        last = connection.execute(
            text("""
                SELECT number, statement FROM audit_checkpoints WHERE tenant = :tenant
                ORDER BY number DESC LIMIT 1"""),
            {"tenant": tenant},
        ).one_or_none()
        before = None if last is None else Checkpoint.read({"statement": last.statement, "key": "", "signature": ""})
        if before is not None and before.seq > end[0] and kind != "pruned":
            return None
        said = {
            "seq": end[0],
            "hash": end[1],
            "tenant": tenant,
            "kind": kind,
            "number": 1 if before is None else before.number + 1,
            "before": "" if before is None else before.digest,
            "at": max(self._now(), row.at, 0 if before is None else before.at),
            "since": since,
        }
        statement = msgspec.json.encode(said).decode()
        signature = self.key.sign(statement)
        connection.execute(
            text("""
                INSERT INTO audit_checkpoints (tenant, number, seq, statement, public_key, signature)
                VALUES (:tenant, :number, :seq, :statement, :key, :signature)"""),
            {**said, "statement": statement, "key": self.key.public, "signature": signature},
        )
        if kind != "pruned":
            connection.execute(
                text("""
                    UPDATE audit_heads SET signed = :seq, signed_at = :at WHERE tenant = :tenant AND signed <= :seq"""),
                said,
            )
        return Checkpoint.read({"statement": statement, "key": self.key.public, "signature": signature})

    def _first_kept(self, connection: Connection, tenant: str, seq: int) -> int:
        """The number of the first checkpoint that vouches for more than what goes."""
        found = connection.execute(
            text("""SELECT min(number) FROM audit_checkpoints WHERE tenant = :tenant AND seq > :seq"""),
            {"tenant": tenant, "seq": seq},
        ).scalar()
        last = connection.execute(
            text("""SELECT max(number) FROM audit_checkpoints WHERE tenant = :tenant"""), {"tenant": tenant}
        ).scalar()
        return int(found or (last or 0) + 1)

    def _known(self, tenant: str) -> tuple[int, str] | None:
        """What this folder knows to have been signed last, whatever the database says now."""
        if tenant not in self._last:
            kept = [point for point in self.anchors(tenant) if point.holds() and point.kind != "pruned"]
            if not kept:
                return None
            last = max(kept, key=lambda point: point.seq)
            self._last[tenant] = (last.seq, last.hash)
        return self._last[tenant]

    def _keep(self, point: Checkpoint) -> None:
        line = anchor_line(point)
        file = self._file(point.tenant)
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if point.kind != "pruned":
            self._last[point.tenant] = (point.seq, point.hash)
        self.broken.pop(point.tenant, None)
        for queue in self._queues:
            queue.append(line)

    def tell(self) -> None:
        """Tells each place what it has not been told yet, in order; what it cannot take waits for the next round."""
        for place, queue in zip(self._places, self._queues, strict=True):
            while queue:
                try:
                    place(queue[0])
                except Exception as fault:  # noqa: BLE001 -- a place is somebody else's, and may fail as it likes
                    _log.warning("an anchor was not taken: %s", type(fault).__name__)
                    break
                queue.pop(0)
        self.untold = sum(map(len, self._queues))

    def _file(self, tenant: str) -> Path:
        return self._folder / f"{tenant.replace('/', '_')}.anchors"

    def _now(self) -> int:
        return int(self._clock() * 1000)


def folder(path: Path) -> Place:
    """A place that is a folder, such as a mounted disk of another machine: one file of anchors, only ever added to."""

    def place(line: bytes) -> None:
        path.mkdir(parents=True, exist_ok=True)
        with (path / "dirigent.anchors").open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    return place


def trusted_keys(keys: Path) -> Mapping[str, str]:
    """The public keys in a folder by their file: this node's, and those of other nodes that somebody has put there."""
    return {path.name: public_key(path.read_text(encoding="ascii")) for path in sorted(keys.glob("*.pub"))}


def _due(connection: Connection, now: int, *, everybody: bool) -> Sequence[str]:
    if everybody:
        return tenants(connection)
    rows = connection.execute(
        text("""
            SELECT tenant FROM audit_heads
            WHERE seq - signed >= :entries OR (seq > signed AND signed_at <= :long_ago)
            ORDER BY tenant"""),
        {"entries": _ENTRIES, "long_ago": now - _AGE},
    )
    return list(rows.scalars())
