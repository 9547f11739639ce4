"""What opens the control plane to whoever holds the data folder: the operator's key, and a link to sign in with."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_urlsafe

import msgspec

from dirigent.core.errors import DirigentError

__all__ = ["LINK_LIFE", "new_link", "operator_key", "redeem_link"]

LINK_LIFE = 3600.0
"""Seconds for which a link to sign in with is good."""
_KEY = "operator-key"
_LINK = "sign-in-link"


class _Link(msgspec.Struct, frozen=True):
    digest: str
    expires: float


def operator_key(data: Path) -> str:
    """The key of the node's operator; made once, readable by the folder's owner only.

    Raises DirigentError where the file holds no key any more.
    """
    file = data / _KEY
    with suppress(FileExistsError):
        data.mkdir(parents=True, exist_ok=True)
        draft = data / f"{_KEY}.{os.getpid()}"
        _write(draft, f"do-{token_urlsafe(32)}\n".encode())
        try:
            os.link(draft, file)  # whole from the first moment on, and never in the place of one that stands
        finally:
            draft.unlink()
    key = file.read_text(encoding="utf-8", errors="replace").strip()
    if not key.startswith("do-") or len(key) < 40 or not key.isascii():
        raise DirigentError(f"{file} holds no key; remove it, and a new one is made")
    return key


def new_link(data: Path, now: float) -> str:
    """A token to sign in with, once and within the hour; it takes the place of an older one."""
    token = token_urlsafe(32)
    draft = data / f"{_LINK}.{os.getpid()}"
    _write(draft, msgspec.json.encode(_Link(_digest(token), now + LINK_LIFE)))
    draft.replace(data / _LINK)
    return token


def redeem_link(data: Path, token: str, now: float) -> bool:
    """Whether the token is good, from now on no longer. Of several workers of a node one alone says yes."""
    file = data / _LINK
    try:
        link = msgspec.json.decode(file.read_bytes(), type=_Link)
    except (OSError, msgspec.DecodeError):
        return False
    if not compare_digest(link.digest, _digest(token)):
        return False
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return now < link.expires


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _write(file: Path, content: bytes) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
