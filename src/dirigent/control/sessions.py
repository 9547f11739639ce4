"""Signing in and out: who is a person at the door, and for how long do we remember."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from secrets import token_hex
from typing import TypeVar

import msgspec

from dirigent.control.desk import Note
from dirigent.control.permissions import Actor
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import Denied
from dirigent.core.identity import Role
from dirigent.store.database import Connection, Database
from dirigent.store.people import Member, keep_member, member_named, member_of, member_outside, members, tenant_named
from dirigent.store.people import verify_password as verified
from dirigent.store.pulse import bump
from dirigent.store.sessions import close_session, failed, open_session, seen, session_of, succeeded, waits_until

__all__ = ["Opened", "Outsider", "Session", "Sessions", "SignInRefused", "TooManyAttempts"]

T = TypeVar("T")
LIFE = 12 * 3600
"""Seconds after which a session ends, whatever happens."""
IDLE = 2 * 3600
"""Seconds without a request after which a session ends."""
_AT_ONCE = 2
"""Passwords that are looked at together: each is made to take time, and the machine has other things to do."""
_SEEN_EVERY = 60_000
_HOME = "default"
_DOOR = "session.open"


class SignInRefused(Denied):
    """Nobody is signed in by this; whether the address or the password is wrong is not told."""

    code = "sign_in_refused"


class TooManyAttempts(Denied):
    """Somebody has tried too often; `retry_after` says when trying again makes sense."""

    code = "too_many_attempts"
    retryable = True


class Session(msgspec.Struct, frozen=True):
    """A member who is signed in."""

    actor: Actor
    expires: int
    """Milliseconds since 1970."""


class Opened(msgspec.Struct, frozen=True):
    """A session that has just begun."""

    token: str
    """Shown this once; only its digest is kept."""
    session: Session
    seconds: int


class Outsider(msgspec.Struct, frozen=True):
    """A person as an identity provider knows them."""

    id: str
    """Issuer and subject, which never change."""
    role: Role
    name: str
    email: str | None = None
    """Only where the provider vouches for it."""


class Sessions:
    """Opens, finds and ends sessions, for the loop. Who came and went is written into the audit."""

    def __init__(self, database: Database, plane: ControlPlane, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._plane = plane
        self._clock = clock
        self._verifying = asyncio.Semaphore(_AT_ONCE)

    async def finding(self, token: str) -> Session | None:
        """The session of a token, with the role of its member now; None where it is over or the member blocked."""
        now = self._now()

        def work(connection: Connection) -> tuple[Session, int] | None:
            found = session_of(connection, token, now, IDLE * 1000)
            member = None if found is None else member_of(connection, found.tenant, found.member)
            if found is None or member is None:
                return None
            return Session(_actor(member), found.expires), found.seen

        met = await self._database.reading(work)
        if met is None:
            return None
        session, last = met
        if now - last > _SEEN_EVERY:
            await self._database.writing(lambda connection: seen(connection, token, now))
        return session

    async def knowing(self, tenant: str) -> bool:
        """Whether there is such a tenant."""
        return await self._database.reading(lambda connection: tenant_named(connection, tenant) is not None)

    async def signing_in(self, tenant: str, email: str, password: str, origin: str, request: str) -> Opened:
        """Opens a session for a member's e-mail address and password.

        Raises TooManyAttempts before anything is looked at, SignInRefused where they are nobody's.
        """
        who = [f"{tenant}|{email.strip().lower()}", *([origin] if _far(origin) else [])]
        await self._database.writing(lambda connection: self._attempt(connection, who))
        async with self._verifying:
            member = await self._database.reading(lambda connection: verified(connection, tenant, email, password))
        if member is None or await self._database.reading(lambda connection: _is_blocked(connection, tenant)):
            door = Actor("system", "door", "viewer", tenant)
            if await self.knowing(tenant):
                await self._noting(door, Note("", "a sign-in was refused"), permitted=False, request=request)
            raise SignInRefused("the e-mail address and the password do not belong to a member")
        return await self._opening(member, "by password", request, who)

    async def opening_for_operator(self, request: str) -> Opened:
        """Opens a session for the first owner of the first tenant: for whoever holds the node's own link."""

        def work(connection: Connection) -> Member | None:
            owners = [each for each in members(connection, _HOME) if each.role == "owner" and each.blocked is None]
            named = [each for each in owners if each.id == "operator"]
            return next(iter([*named, *sorted(owners, key=lambda each: (each.created, each.id))]), None)

        owner = await self._database.reading(work)
        if owner is None:
            raise SignInRefused("there is no owner of the tenant default who could be signed in")
        return await self._opening(owner, "by the node's link", request)

    async def opening_for_outsider(self, tenant: str, outsider: Outsider, request: str) -> Opened:
        """Opens a session for whom an identity provider vouches; who is new becomes a member, with the role given.

        Raises SignInRefused where the member or the tenant is blocked.
        """
        now = self._now()

        def work(connection: Connection) -> Member | None:
            if tenant_named(connection, tenant) is None or _is_blocked(connection, tenant):
                return None
            member = _admitted(connection, tenant, outsider, now)
            return None if member.blocked is not None else member

        member = await self._database.writing(work)
        if member is None:
            raise SignInRefused("this person may not sign in here")
        return await self._opening(member, "by the identity provider", request)

    async def ending(self, token: str, session: Session, request: str) -> None:
        """Ends a session; its token is good for nothing any more."""
        await self._database.writing(lambda connection: close_session(connection, token))
        note = Note(f"member:{session.actor.id}", "signed out")
        await self._noting(session.actor, note, action="session.close", request=request)

    def _attempt(self, connection: Connection, who: list[str]) -> None:
        """Counts an attempt before it is looked at: so a hundred at once count a hundred times."""
        now = self._now()
        waits = [until - now for each in who if (until := waits_until(connection, each, now)) is not None]
        if waits:
            words = "too many attempts to sign in; wait a moment"
            raise TooManyAttempts(words, retry_after=max(waits) / 1000)
        for each in who:
            failed(connection, each, now)

    async def _opening(self, member: Member, how: str, request: str, who: list[str] | None = None) -> Opened:
        now = self._now()

        def work(connection: Connection) -> str:
            for each in who or ():
                succeeded(connection, each)
            return open_session(connection, member.tenant, member.id, now, LIFE * 1000)

        token = await self._database.writing(work)
        actor = _actor(member)
        await self._noting(actor, Note(f"member:{member.id}", f"signed in {how}"), request=request)
        return Opened(token, Session(actor, now + LIFE * 1000), LIFE)

    async def _noting(
        self, actor: Actor, note: Note, *, action: str = _DOOR, permitted: bool = True, request: str
    ) -> None:
        await asyncio.to_thread(self._plane.note, actor, action, note, permitted=permitted, request=request)

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _admitted(connection: Connection, tenant: str, outsider: Outsider, now: int) -> Member:
    """The member that an outsider is, with the role and the name that the provider gives today."""
    known = member_outside(connection, tenant, outsider.id)
    if known is None and outsider.email is not None:
        known = member_named(connection, tenant, outsider.email)
        if known is not None and known.external is not None:
            raise SignInRefused("the e-mail address belongs to another person of the identity provider")
    if known is None:
        known = Member(tenant, f"m-{token_hex(8)}", outsider.name, outsider.role, outsider.email, created=now)
    member = msgspec.structs.replace(known, name=outsider.name, role=outsider.role, external=outsider.id)
    if member != known or known.created == now:
        keep_member(connection, member, bump(connection, "rights"))
    return member


def _is_blocked(connection: Connection, tenant: str) -> bool:
    found = tenant_named(connection, tenant)
    return found is None or found.blocked is not None


def _actor(member: Member) -> Actor:
    return Actor("member", member.id, member.role, member.tenant, member.name)


def _far(origin: str) -> bool:
    """Whether somebody comes from another machine; behind a proxy on this one all would count as one."""
    return bool(origin) and not origin.startswith("127.") and origin != "::1"
