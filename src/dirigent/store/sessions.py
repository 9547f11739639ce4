"""Who is signed in, and who has tried too often. Times are milliseconds since 1970."""

from __future__ import annotations

from hashlib import blake2b
from secrets import token_urlsafe

import msgspec
from sqlalchemy import Connection, text

__all__ = [
    "Session",
    "close_session",
    "close_sessions_of",
    "failed",
    "open_session",
    "seen",
    "session_of",
    "succeeded",
    "waits_until",
]

_FREE_TRIES = 5
_FIRST_WAIT = 1_000
_LONGEST_WAIT = 15 * 60_000
_FORGOTTEN = 24 * 3_600_000


class Session(msgspec.Struct, frozen=True):
    """A member who is signed in."""

    tenant: str
    member: str
    created: int
    seen: int
    """When it was last used, as far as `seen` was told."""
    expires: int


def open_session(connection: Connection, tenant: str, member: str, now: int, lasts: int) -> str:
    """Signs a member in for so many milliseconds. The token is given this once; only its digest is kept."""
    token = token_urlsafe(32)
    connection.execute(text("DELETE FROM sessions WHERE expires <= :now"), {"now": now})
    connection.execute(
        text("""
            INSERT INTO sessions (digest, tenant, member, created, seen, expires)
            VALUES (:digest, :tenant, :member, :now, :now, :expires)"""),
        {"digest": _digest(token), "tenant": tenant, "member": member, "now": now, "expires": now + lasts},
    )
    return token


def session_of(connection: Connection, token: str, now: int, idle: int) -> Session | None:
    """The session of a token; None where it is over, was not used for `idle` milliseconds, or its member is blocked."""
    row = connection.execute(
        text("""
            SELECT sessions.tenant, sessions.member, sessions.created, sessions.seen, sessions.expires
            FROM sessions
            JOIN members ON members.tenant = sessions.tenant AND members.id = sessions.member
            JOIN tenants ON tenants.name = sessions.tenant
            WHERE sessions.digest = :digest AND sessions.expires > :now AND sessions.seen > :stale
              AND members.blocked IS NULL AND tenants.blocked IS NULL"""),
        {"digest": _digest(token), "now": now, "stale": now - idle},
    ).one_or_none()
    return None if row is None else Session(*row)


def seen(connection: Connection, token: str, now: int) -> None:
    """Notes that a session was used; once a minute is enough."""
    connection.execute(
        text("UPDATE sessions SET seen = :now WHERE digest = :digest AND seen < :now"),
        {"digest": _digest(token), "now": now},
    )


def close_session(connection: Connection, token: str) -> None:
    """Signs out."""
    connection.execute(text("DELETE FROM sessions WHERE digest = :digest"), {"digest": _digest(token)})


def close_sessions_of(connection: Connection, tenant: str, member: str) -> None:
    """Signs a member out everywhere, as after a change of the password or the role."""
    connection.execute(
        text("DELETE FROM sessions WHERE tenant = :tenant AND member = :member"), {"tenant": tenant, "member": member}
    )


# --- who has tried too often ------------------------------------------------------------------------------------------


def waits_until(connection: Connection, who: str, now: int) -> int | None:
    """Until when `who` (an e-mail address, or an address of the net) may not try again; None where it may now."""
    row = connection.execute(
        text("SELECT times, last FROM sign_in_failures WHERE who = :who"), {"who": _person(who)}
    ).one_or_none()
    if row is None or row.times < _FREE_TRIES or row.last <= now - _FORGOTTEN:
        return None
    until = int(row.last) + min(_FIRST_WAIT << min(row.times - _FREE_TRIES, 30), _LONGEST_WAIT)
    return until if until > now else None


def failed(connection: Connection, who: str, now: int) -> None:
    """Counts a sign-in that failed: five are free, then each makes the next wait twice as long, up to 15 minutes.

    People type all sorts of things into the wrong field, so only a digest of `who` is kept, for a day.
    """
    connection.execute(text("DELETE FROM sign_in_failures WHERE last <= :then"), {"then": now - _FORGOTTEN})
    connection.execute(
        text("""
            INSERT INTO sign_in_failures (who, times, last) VALUES (:who, 1, :now)
            ON CONFLICT (who) DO UPDATE SET times = sign_in_failures.times + 1, last = excluded.last"""),
        {"who": _person(who), "now": now},
    )


def succeeded(connection: Connection, who: str) -> None:
    """Forgets what failed before."""
    connection.execute(text("DELETE FROM sign_in_failures WHERE who = :who"), {"who": _person(who)})


def _digest(token: str) -> bytes:
    return blake2b(token.encode("utf-8", "replace"), digest_size=32).digest()


def _person(who: str) -> bytes:
    return blake2b(who.strip().lower().encode("utf-8", "replace"), digest_size=16).digest()
