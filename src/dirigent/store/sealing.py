"""Seals single texts by the keys of whom they are about, for tables that keep them beside their facts."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from secrets import token_bytes

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, text

from dirigent.store.vault import Envelope, KeyLost, Vault, enclosed, opened

__all__ = ["Place", "Sealed", "Sealer", "Shredded"]

_WRAPPED = 12 + 32 + 16
"""Bytes of a text's own key as it is enclosed: nonce, key, tag."""
_PLAIN, _SHORTER = b"\0", b"\1"


class Shredded(KeyLost):
    """What stood here is gone for good, with whom it was about; on a node that merely lacks a key it is not."""


class Sealed(msgspec.Struct, frozen=True):
    """A text as it stands in a table: the id of the key that opens it, and the rest; both empty once it is shredded."""

    key: str | None = None
    text: bytes | None = None


class Place(msgspec.Struct, frozen=True):
    """Whose a text is, whom it is about, and where it stands."""

    tenant: str
    subject: str
    """Whom it is about, as the caller named them; empty where nobody is named: then it has a key of the day."""
    about: str
    """What stands there and nowhere else: a text that is put elsewhere does not open."""
    at: int
    """Milliseconds since 1970."""


class Sealer:
    """Seals texts within the transaction that keeps them. Each has a key of its own, which its subject's key seals."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, connection: Connection, place: Place, content: bytes) -> Sealed:
        """The content, sealed; nothing where its subject was just shredded. Raises KeyLost, DatabaseGone."""
        day = f"*{datetime.fromtimestamp(place.at / 1000, UTC):%Y-%m-%d}"
        key = self._vault.key(place.tenant, place.subject or day)
        if not self._vault.admitted(connection, key.envelope):
            self._vault.forget()
            return Sealed()
        return _sealed(key.envelope.id, key.cipher, _bound(place.tenant, place.about), content)

    def seal_like(self, connection: Connection, tenant: str, other: Sealed, about: str, content: bytes) -> Sealed:
        """The content, sealed so that it is shredded together with another text; nothing where that one was.

        Raises KeyLost where this node lacks the key.
        """
        envelope = _envelope(connection, other.key)
        if envelope is None:
            return Sealed()
        return _sealed(envelope.id, self._vault.opening(envelope), _bound(tenant, about), content)

    def open(self, connection: Connection, tenant: str, about: str, sealed: Sealed) -> bytes:
        """What was sealed so. Raises Shredded, and KeyLost where this node lacks the key or a byte was changed."""
        envelope = _envelope(connection, sealed.key)
        if envelope is None or sealed.text is None:
            raise Shredded("what stood here was shredded")
        data, bound = bytes(sealed.text), _bound(tenant, about)
        try:
            secret = opened(self._vault.opening(envelope), data[:_WRAPPED], bound)
            packed = opened(AESGCM(secret), data[_WRAPPED:], bound)
        except InvalidTag:
            raise KeyLost("what stood here was tampered with") from None
        return zlib.decompress(packed[1:]) if packed[:1] == _SHORTER else packed[1:]


def _sealed(key: str, cipher: AESGCM, bound: bytes, content: bytes) -> Sealed:
    secret = token_bytes(32)
    short = zlib.compress(content, 1)
    packed = _SHORTER + short if len(short) < len(content) else _PLAIN + content
    return Sealed(key, enclosed(cipher, secret, bound) + enclosed(AESGCM(secret), packed, bound))


def _envelope(connection: Connection, key: str | None) -> Envelope | None:
    row = connection.execute(
        text("SELECT id, tenant, subject, epoch, wrapped, made FROM subject_keys WHERE id = :id"), {"id": key}
    ).one_or_none()
    if row is None:
        return None
    return Envelope(row.id, row.tenant, bytes(row.subject), row.epoch, bytes(row.wrapped), row.made)


def _bound(tenant: str, about: str) -> bytes:
    """What binds a text to its place."""
    return f"{tenant}|{about}".encode()
