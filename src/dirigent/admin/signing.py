"""Signing in and out: by e-mail and password, or by the link that a node prints when it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path as Folder
from typing import get_args

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dirigent.admin.access import Access, csrf_token, forget_cookie, set_cookie
from dirigent.admin.app import Path, json_answer, json_body
from dirigent.admin.folder import redeem_link
from dirigent.admin.openapi import ROOT, Fixed
from dirigent.admin.orders import from_body
from dirigent.control.permissions import Actor, Permission, permits
from dirigent.control.sessions import Opened, Sessions, SignInRefused

__all__ = ["LINK_PATH", "SignIn", "SignedIn", "paths"]

LINK_PATH = f"{ROOT}/session/link"


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs in."""

    email: str
    password: str
    tenant: str = "default"


class SignedIn(msgspec.Struct, frozen=True):
    """Who is signed in, what they may, and until when."""

    kind: str
    """`member`, or `operator` for whoever holds the data folder's key."""
    id: str
    name: str
    role: str
    tenant: str
    permissions: tuple[str, ...]
    expires: int | None = None
    """Milliseconds since 1970; a session that nobody uses ends sooner."""
    csrf: str | None = None
    """To be sent in the header `x-csrf-token` with every change."""


class Ended(msgspec.Struct, frozen=True):
    """The session is over."""

    ended: bool = True


def paths(sessions: Sessions, access: Access, data: Folder, clock: Callable[[], float] = time.time) -> list[Path]:
    """The paths of signing in and out; `data` is the folder with the sign-in link."""

    async def sign_in(request: Request) -> Response:
        order = from_body(await json_body(request), SignIn)
        opened = await sessions.signing_in(
            order.tenant, order.email, order.password, _origin(request), request.scope["request_id"]
        )
        response = json_answer(_of_session(opened.session.actor, opened))
        set_cookie(response, request, opened)
        return response

    async def who(request: Request) -> Response:
        if request.headers.get("authorization") is not None:
            return json_answer(_told(await access.actor(request)))
        session = await access.session(request)
        token = request.cookies["dirigent_session"]
        return json_answer(_told(session.actor, session.expires, csrf_token(token)))

    async def sign_out(request: Request) -> Response:
        session = await access.session(request)
        await sessions.ending(request.cookies["dirigent_session"], session, request.scope["request_id"])
        response = json_answer(Ended())
        forget_cookie(response, request)
        return response

    async def by_link(request: Request) -> Response:
        if not redeem_link(data, request.query_params.get("token", ""), clock()):
            raise SignInRefused("the link is used up, too old or mistyped; a restart of the node prints a new one")
        opened = await sessions.opening_for_operator(request.scope["request_id"])
        response = RedirectResponse("/", 303)
        set_cookie(response, request, opened)
        return response

    session = f"{ROOT}/session"
    return [
        Path(Fixed("POST", session, "Sign in with e-mail and password.", SignedIn, SignIn, open=True), sign_in),
        Path(Fixed("GET", session, "Who is signed in.", SignedIn), who),
        Path(Fixed("DELETE", session, "Sign out.", Ended), sign_out),
        Path(
            Fixed("GET", LINK_PATH, "Sign in with a link.", query=("token",), open=True, status=303, media="text/html"),
            by_link,
        ),
    ]


def _of_session(actor: Actor, opened: Opened) -> SignedIn:
    return _told(actor, opened.session.expires, csrf_token(opened.token))


def _told(actor: Actor, expires: int | None = None, csrf: str | None = None) -> SignedIn:
    held = tuple(permission for permission in get_args(Permission) if permits(actor, permission))
    return SignedIn(actor.kind, actor.id, actor.name, actor.role, actor.tenant, held, expires, csrf)


def _origin(request: Request) -> str:
    """From where somebody tries to sign in."""
    return request.client.host if request.client is not None else ""
