"""Who asks the control plane: the operator by the node's own key, or a member by a session."""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import Response

from dirigent.admin.faults import WrongWay
from dirigent.control.permissions import Actor
from dirigent.control.sessions import Opened, Session, Sessions
from dirigent.core.errors import Invalid, Unauthenticated

__all__ = ["COOKIE", "Access", "csrf_token", "forget_cookie", "is_secure", "set_cookie"]

COOKIE = "dirigent_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOME = "default"


class Access:
    """Finds out on whose word a request acts. Virtual keys have no rights here."""

    def __init__(self, operator_key: str, sessions: Sessions) -> None:
        self._operator = _digest(operator_key)
        self._sessions = sessions

    async def actor(self, request: Request) -> Actor:
        """On whose word. Raises Unauthenticated, never repeating a key; WrongWay where a page of others may ask."""
        header = request.headers.get("authorization")
        if header is not None:
            return await self._bearer(header, request)
        return (await self.session(request)).actor

    async def session(self, request: Request) -> Session:
        """The session of a request, for whatever its method needs. Raises as `actor` does."""
        token = request.cookies.get(COOKIE)
        session = await self._sessions.finding(token) if token else None
        if token is None or session is None:
            raise Unauthenticated(
                "nobody is signed in: sign in, or send the key in the node's file operator-key as `Bearer KEY`"
            )
        if request.method not in _SAFE and not compare_digest(
            request.headers.get("x-csrf-token", "").encode(), csrf_token(token).encode()
        ):
            raise WrongWay("the header `x-csrf-token` does not carry this session's token", "csrf")
        return session

    async def _bearer(self, header: str, request: Request) -> Actor:
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("the header `authorization` has the form `Bearer KEY`")
        if not compare_digest(_digest(key.strip()), self._operator):
            raise Unauthenticated("the key is not the operator's; keys for models have no rights here")
        tenant = request.headers.get("x-dirigent-tenant", _HOME)
        if tenant != _HOME and not await self._sessions.knowing(tenant):
            raise Invalid(f"there is no tenant {tenant!r}", param="x-dirigent-tenant")
        return Actor("operator", "operator", "owner", tenant)


def csrf_token(token: str) -> str:
    """What a page has to say besides its cookie: only one that could read our answers can know it."""
    return blake2b(token.encode(), digest_size=24, person=b"csrf").hexdigest()


def set_cookie(response: Response, request: Request, opened: Opened) -> None:
    """Hands the session to the browser: out of reach of scripts, and not sent along by pages of others."""
    response.set_cookie(
        COOKIE,
        opened.token,
        max_age=opened.seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


def forget_cookie(response: Response, request: Request) -> None:
    """Takes the session from the browser."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=is_secure(request))


def is_secure(request: Request) -> bool:
    """Whether the browser came by TLS, as far as we or the proxy before us can tell."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "") == "https"


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "replace"), digest_size=32).digest()
