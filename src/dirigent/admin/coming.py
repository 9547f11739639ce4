"""The two paths of signing in by an identity provider: going there, and coming back."""

from __future__ import annotations

from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dirigent.admin.access import is_secure, set_cookie
from dirigent.admin.app import Path
from dirigent.admin.oidc import AWAY, IdentityProvider, seal, unsealed
from dirigent.admin.openapi import ROOT, Fixed
from dirigent.control.sessions import Sessions, SignInRefused

__all__ = ["provider_paths"]

_COOKIE = "dirigent_away"
_BELOW = f"{ROOT}/oidc"
_BACK = f"{_BELOW}/callback"


def provider_paths(provider: IdentityProvider, sessions: Sessions, operator_key: str) -> list[Path]:
    """The paths; what is remembered meanwhile is sealed by a secret that all workers of the node have."""
    secret = blake2b(operator_key.encode(), person=b"oidc", digest_size=32).digest()

    async def start(request: Request) -> Response:
        url, away = await provider.send(f"{_address(request, provider.settings.public_url)}{_BACK}")
        response = RedirectResponse(url, 303)
        response.set_cookie(
            _COOKIE,
            seal(away, secret),
            max_age=int(AWAY),
            path=_BELOW,
            httponly=True,
            samesite="lax",
            secure=is_secure(request),
        )
        return response

    async def back(request: Request) -> Response:
        away = unsealed(request.cookies.get(_COOKIE, ""), secret)
        if away is None:
            raise SignInRefused("this is no answer to a sign-in that began here; begin again")
        outsider = await provider.receive(dict(request.query_params), away)
        tenant, name = provider.settings.tenant, request.scope["request_id"]
        opened = await sessions.opening_for_outsider(tenant, outsider, name)
        response = RedirectResponse("/", 303)
        set_cookie(response, request, opened)
        response.delete_cookie(_COOKIE, path=_BELOW, httponly=True, samesite="lax", secure=is_secure(request))
        return response

    said = ("code", "state", "iss", "error")
    return [
        Path(
            Fixed(
                "GET",
                f"{_BELOW}/start",
                "Go to the identity provider to sign in.",
                open=True,
                status=303,
                media="text/html",
            ),
            start,
        ),
        Path(
            Fixed(
                "GET",
                _BACK,
                "Come back from the identity provider.",
                query=said,
                open=True,
                status=303,
                media="text/html",
            ),
            back,
        ),
    ]


def _address(request: Request, public_url: str | None) -> str:
    """This node's address as the browser sees it, without a slash at its end."""
    if public_url is not None:
        return public_url.rstrip("/")
    return f"{'https' if is_secure(request) else 'http'}://{request.headers.get('host', 'localhost')}"
