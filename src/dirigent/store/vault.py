"""The keys behind what is stored of texts: one for each data subject, sealed by a key that no database ever holds.

A key-encryption key (its *epoch* counts up) lies in a file; it seals the keys of subjects, and these seal the key of
each record. Who deletes a subject's keys makes the texts about it unreadable, and once the next epoch has come, those
in every old copy of the database too.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from secrets import token_bytes, token_hex
from threading import Lock
from time import monotonic, time
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Row, text

from dirigent.core.errors import DirigentError
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.keyfiles import destroyed, written_once
from dirigent.store.pulse import bump

__all__ = ["Envelope", "KeyLost", "SubjectKey", "Vault", "enclosed", "opened"]

_BYTES = 32
_NONCE = 12
_REUSED = 43_200_000
"""Milliseconds for which a key seals new texts: far less than a key that seals nothing is kept."""
_AWAY = 5.0
"""Seconds for which a database that did not answer is not asked for keys."""
_SEARCH = 0
"""The row under which the proof of the search key stands, beside those of the epochs."""


class KeyLost(DirigentError):
    """The key that would open this is not there: shredded, or of another node."""

    code = "key_lost"


class Envelope(msgspec.Struct, frozen=True):
    """A subject's key as it is stored: sealed by the key-encryption key of an epoch."""

    id: str
    tenant: str
    subject: bytes
    epoch: int
    wrapped: bytes
    made: int


class SubjectKey(msgspec.Struct, frozen=True):
    """A subject's key, open, and the envelope that it is stored in."""

    envelope: Envelope
    cipher: Any


class Vault:
    """Keys of data subjects, made when they are first needed and remembered while they are in use."""

    def __init__(
        self, database: Database, keys: Path, *, remembered: int = 10_000, clock: Callable[[], float] = time
    ) -> None:
        self._database = database
        self._keys = keys
        self._remembered = remembered
        self._clock = clock
        self._known: OrderedDict[tuple[str, bytes], SubjectKey] = OrderedDict()
        self._lock = Lock()
        self._seals: dict[int, AESGCM] = {}
        self._away_until = 0.0
        self._search = b""
        self.epoch = 0
        """The epoch under which new keys are sealed."""

    def open(self) -> None:
        """Takes the key files into use, and makes them for a database that has none yet.

        Raises KeyLost where the database is sealed by keys that are not in the folder, DatabaseGone.
        """
        epoch = self._database.read(_epoch)
        if epoch is None:
            self._begin(1, self._file(1))
            epoch = self._database.read(_epoch) or 1
        self._search = self._begin(_SEARCH, self._keys / "search")
        self._seal(epoch)
        self.epoch = epoch
        for gone in self._database.read(_destroyed):  # a rotation that was cut short after it counted
            destroyed(self._file(gone))

    def begun(self) -> bool:
        """Whether anything was ever sealed for this database. Raises DatabaseGone."""
        return self._database.read(_epoch) is not None

    def subject(self, tenant: str, name: str) -> bytes:
        """What stands for a subject in the database: the same for the same name, and nobody can tell whose it is."""
        return hmac.new(self._search, f"{tenant}\n{name.strip().casefold()}".encode(), hashlib.sha256).digest()

    def key(self, tenant: str, name: str) -> SubjectKey:
        """A key for what is about this subject; the one that there is, or a new one where none can be found."""
        subject = self.subject(tenant, name)
        place = (tenant, subject)
        with self._lock:
            known = self._known.get(place)
            if known is not None and known.envelope.made > self._now() - _REUSED:
                self._known.move_to_end(place)
                return known
        found = self._stored(tenant, subject) or self._made(tenant, subject)
        with self._lock:
            self._known[place] = found
            self._known.move_to_end(place)
            if len(self._known) > self._remembered:
                self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """Remembers no key of a subject any more."""
        with self._lock:
            self._known.clear()

    def refresh(self) -> None:
        """Takes over what was shredded or sealed anew elsewhere; to be called whenever the pulse `vault` has moved on.

        Raises KeyLost where the file of the present epoch is missing, DatabaseGone.
        """
        self.forget()
        epoch = self._database.read(_epoch)
        if epoch is not None and epoch != self.epoch:
            self._seal(epoch)
            self.epoch = epoch
            for old in [each for each in self._seals if each < epoch]:
                del self._seals[old]
                destroyed(self._file(old))

    def opening(self, envelope: Envelope) -> AESGCM:
        """The key in an envelope. Raises KeyLost."""
        try:
            return AESGCM(opened(self._seal(envelope.epoch), envelope.wrapped, _about(envelope, envelope.epoch)))
        except InvalidTag:
            raise KeyLost("the key of this subject was tampered with") from None

    def admitted(self, connection: Connection, envelope: Envelope) -> bool:
        """Whether what is sealed with this key may be stored: yes, and its envelope is, unless it was shredded.

        An envelope of an older epoch is sealed anew; one whose seal is destroyed is as good as shredded.
        """
        self._alone(connection, envelope.subject, shared=True)
        row = connection.execute(text("""SELECT id FROM subject_keys WHERE id = :id"""), {"id": envelope.id}).scalar()
        if row is not None:
            return True
        gone = connection.execute(
            text("""
                SELECT at FROM shredded_subjects
                WHERE tenant = :tenant AND subject = :subject AND at >= :made"""),
            {"tenant": envelope.tenant, "subject": envelope.subject, "made": envelope.made},
        ).scalar()
        if gone is not None:
            return False
        present = self._held(connection) or self._held(connection)  # again: it may have ended while we waited for it
        if present != envelope.epoch:
            try:
                envelope = self._resealed(envelope, int(present or 0))
            except KeyLost:
                return False
        connection.execute(
            text("""
                INSERT INTO subject_keys (id, tenant, subject, epoch, wrapped, made)
                VALUES (:id, :tenant, :subject, :epoch, :wrapped, :made) ON CONFLICT (id) DO NOTHING"""),
            msgspec.structs.asdict(envelope),
        )
        return True

    def shred(self, connection: Connection, tenant: str, name: str) -> Sequence[str]:
        """Destroys every key of a subject; what they sealed cannot be read any more. The ids that they had.

        What the database's own files still hold of them goes with `scrub` and with the next epoch.
        """
        subject = self.subject(tenant, name)
        self._alone(connection, subject, shared=False)
        names = {"tenant": tenant, "subject": subject, "at": self._now()}
        connection.execute(
            text("""
                INSERT INTO shredded_subjects (tenant, subject, at) VALUES (:tenant, :subject, :at)
                ON CONFLICT (tenant, subject) DO UPDATE SET at = excluded.at"""),
            names,
        )
        gone = connection.execute(
            text("""DELETE FROM subject_keys WHERE tenant = :tenant AND subject = :subject RETURNING id"""), names
        ).scalars()
        ids = list(gone)
        bump(connection, "vault")
        self.forget()
        return ids

    def rotate(self) -> int:
        """Seals every key anew under the next epoch and destroys the last one; how many keys were sealed.

        Nodes with folders of their own need the file of the next epoch before: this takes it where it is there already.
        Raises KeyLost where another node has just done so, DatabaseGone.
        """
        last, following = self.epoch, self.epoch + 1
        secret = written_once(self._file(following), token_bytes(_BYTES))
        self._seals[following] = AESGCM(secret)
        now = self._now()

        def work(connection: Connection) -> int:
            taken = connection.execute(
                text("""UPDATE key_epochs SET destroyed = :now WHERE epoch = :epoch AND destroyed IS NULL"""),
                {"now": now, "epoch": last},
            ).rowcount
            if not taken:
                raise KeyLost(f"the epoch {last} has ended already")
            _note(connection, following, _proof(secret, following), now)
            rows = connection.execute(text("""SELECT id, tenant, subject, epoch, wrapped, made FROM subject_keys"""))
            sealed = [self._resealed(_envelope(row), following) for row in rows]
            if sealed:
                connection.execute(
                    text("""UPDATE subject_keys SET epoch = :epoch, wrapped = :wrapped WHERE id = :id"""),
                    [{"id": each.id, "epoch": each.epoch, "wrapped": each.wrapped} for each in sealed],
                )
            bump(connection, "vault")
            return len(sealed)

        count = self._database.write(work)
        self.epoch = following
        self._seals.pop(last, None)
        destroyed(self._file(last))
        self.forget()
        return count

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _alone(self, connection: Connection, subject: bytes, *, shared: bool) -> None:
        """Lets no text about a subject be written while it is shredded, until the transaction ends.

        Of the embedded database one writer at a time writes, so there it is so anyway.
        """
        if not self._database.lite:
            how = "_shared" if shared else ""
            lock = int.from_bytes(subject[:8], "big", signed=True)
            connection.execute(text(f"SELECT pg_advisory_xact_lock{how}(:lock)"), {"lock": lock})

    def _held(self, connection: Connection) -> int | None:
        """The present epoch, which does not end before the transaction does."""
        share = "" if self._database.lite else " FOR SHARE"
        query = f"SELECT epoch FROM key_epochs WHERE epoch > 0 AND destroyed IS NULL{share}"  # noqa: S608 -- no input
        return connection.execute(text(query)).scalar()

    def _file(self, epoch: int) -> Path:
        return self._keys / f"kek-{epoch}"

    def _begin(self, epoch: int, file: Path) -> bytes:
        """The secret in a file, which is the one that the database was sealed with; both new where there is neither."""
        wanted = self._database.read(lambda connection: _proof_of(connection, epoch))
        if wanted is None:
            secret = written_once(file, token_bytes(_BYTES))
            made = self._now()
            self._database.write(lambda connection: _note(connection, epoch, _proof(secret, epoch), made))
            wanted = self._database.read(lambda connection: _proof_of(connection, epoch))
        if not file.exists():
            raise KeyLost(f"the database is sealed with the key {file.name}, which is not in {file.parent}")
        secret = file.read_bytes()
        if wanted is None or not hmac.compare_digest(_proof(secret, epoch), wanted):
            raise KeyLost(f"the database is sealed with another key than the one in {file}; nodes share their keys")
        return secret

    def _seal(self, epoch: int) -> AESGCM:
        if epoch not in self._seals:
            if not self._file(epoch).exists():
                raise KeyLost(f"the key {self._file(epoch).name} is not in {self._keys}")
            self._seals[epoch] = AESGCM(self._begin(epoch, self._file(epoch)))
        return self._seals[epoch]

    def _stored(self, tenant: str, subject: bytes) -> SubjectKey | None:
        """The key that there is. A new one serves as well where the database is away, or nobody can open that one."""
        if monotonic() < self._away_until:  # a batch of texts must not wait for it once for each subject
            return None
        try:
            since = self._now() - _REUSED
            envelope = self._database.read(lambda connection: _latest(connection, tenant, subject, since))
            return None if envelope is None else SubjectKey(envelope, self.opening(envelope))
        except DatabaseGone:
            self._away_until = monotonic() + _AWAY
        except KeyLost:
            pass
        return None

    def _made(self, tenant: str, subject: bytes) -> SubjectKey:
        secret = token_bytes(_BYTES)
        now = self._now()
        bare = Envelope(token_hex(8), tenant, subject, self.epoch, b"", now)
        wrapped = enclosed(self._seal(self.epoch), secret, _about(bare, self.epoch))
        return SubjectKey(msgspec.structs.replace(bare, wrapped=wrapped), AESGCM(secret))

    def _resealed(self, envelope: Envelope, epoch: int) -> Envelope:
        try:
            secret = opened(self._seal(envelope.epoch), envelope.wrapped, _about(envelope, envelope.epoch))
        except InvalidTag:
            raise KeyLost(f"the key {envelope.id} was tampered with") from None
        wrapped = enclosed(self._seal(epoch), secret, _about(envelope, epoch))
        return msgspec.structs.replace(envelope, epoch=epoch, wrapped=wrapped)


def enclosed(cipher: AESGCM, content: bytes, about: bytes) -> bytes:
    """The content, sealed; it opens only together with the same `about`."""
    nonce = token_bytes(_NONCE)
    return nonce + cipher.encrypt(nonce, content, about)


def opened(cipher: AESGCM, sealed: bytes, about: bytes) -> bytes:
    """What `enclosed` sealed. Raises InvalidTag where anything about it was changed."""
    return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about)


def _about(envelope: Envelope, epoch: int) -> bytes:
    """What binds a key to its place: an envelope that is put elsewhere does not open."""
    return f"subject key|{envelope.tenant}|{envelope.id}|{epoch}|{envelope.subject.hex()}".encode()


def _proof(secret: bytes, epoch: int) -> bytes:
    return hmac.new(secret, f"dirigent key {epoch}".encode(), hashlib.sha256).digest()


def _epoch(connection: Connection) -> int | None:
    return connection.execute(
        text("""SELECT max(epoch) FROM key_epochs WHERE epoch > 0 AND destroyed IS NULL""")
    ).scalar()


def _destroyed(connection: Connection) -> list[int]:
    return list(connection.execute(text("""SELECT epoch FROM key_epochs WHERE destroyed IS NOT NULL""")).scalars())


def _proof_of(connection: Connection, epoch: int) -> bytes | None:
    found = connection.execute(text("""SELECT proof FROM key_epochs WHERE epoch = :epoch"""), {"epoch": epoch}).scalar()
    return None if found is None else bytes(found)


def _note(connection: Connection, epoch: int, proof: bytes, made: int) -> None:
    connection.execute(
        text("""
            INSERT INTO key_epochs (epoch, proof, made) VALUES (:epoch, :proof, :made)
            ON CONFLICT (epoch) DO NOTHING"""),
        {"epoch": epoch, "proof": proof, "made": made},
    )


def _latest(connection: Connection, tenant: str, subject: bytes, since: int) -> Envelope | None:
    row = connection.execute(
        text("""
            SELECT id, tenant, subject, epoch, wrapped, made FROM subject_keys
            WHERE tenant = :tenant AND subject = :subject AND made > :since ORDER BY made DESC, id LIMIT 1"""),
        {"tenant": tenant, "subject": subject, "since": since},
    ).one_or_none()
    return None if row is None else _envelope(row)


def _envelope(row: Row[Any]) -> Envelope:
    return Envelope(row.id, row.tenant, bytes(row.subject), row.epoch, bytes(row.wrapped), row.made)
