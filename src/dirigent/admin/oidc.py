"""Signing in by an identity provider: OpenID Connect, the code flow with PKCE, state and nonce.

What has to be remembered between going out and coming back travels in the browser, sealed: any worker can take it up.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from dirigent.control.sessions import Outsider, SignInRefused
from dirigent.core.errors import BadAnswer, DirigentError
from dirigent.core.identity import ROLES, Role
from dirigent.core.ports import Http, HttpCall, Origin, Timeouts

__all__ = ["Away", "IdentityProvider", "Oidc", "provider_within", "seal", "unsealed"]

T = TypeVar("T")
_PATIENCE = Timeouts(connect=5.0, first_byte=15.0, idle=15.0, total=20.0)
_KNOWN_FOR = 3600.0
_ASK_AGAIN = 10.0
"""Seconds between two looks at the provider's keys, however many tokens name one that nobody knows."""
AWAY = 600.0
"""Seconds that somebody may take to sign in at the provider."""


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An identity provider that people sign in by."""

    issuer: str
    """Its address, as it names itself."""
    client_id: str
    client_secret: str | None = None
    """None for a public client, which is known by PKCE alone."""
    roles: Mapping[str, Role] = {}
    """From groups of the provider to roles; who is in several has the highest."""
    default_role: Role | None = None
    """The role of who is in none of these groups; None lets only those of a group in."""
    groups: str = "groups"
    """The claim that holds the groups."""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    tenant: str = "default"
    """Where the people belong."""
    public_url: str | None = None
    """The address of this node as browsers see it; by default what they ask for."""

    def __repr__(self) -> str:
        return f"Oidc(issuer={self.issuer!r}, client_id={self.client_id!r})"


class Away(msgspec.Struct, frozen=True):
    """What is remembered of somebody who is at the provider."""

    state: str
    nonce: str
    verifier: str
    redirect: str
    expires: float


class _Discovered(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class IdentityProvider:
    """Sends people to a provider and takes them back. `http` is the node's own client."""

    def __init__(self, settings: Oidc, http: Http, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._http = http
        self._clock = clock
        self._found: tuple[float, _Discovered] | None = None
        self._keys: tuple[float, Any] | None = None
        # a node without a provider, which most are, never loads what reads tokens
        self._tokens = import_module("dirigent.admin.tokens")
        self._asking = asyncio.Lock()

    async def send(self, redirect: str) -> tuple[str, Away]:
        """Where to send somebody who shall come back to `redirect`, and what to remember. Raises BadAnswer."""
        found = await self._discovered()
        away = Away(token_urlsafe(24), token_urlsafe(24), token_urlsafe(48), redirect, self._clock() + AWAY)
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": away.state,
            "nonce": away.nonce,
            "code_challenge": _plain64(sha256(away.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        glue = "&" if urlsplit(found.authorization_endpoint).query else "?"
        return f"{found.authorization_endpoint}{glue}{urlencode(query)}", away

    async def receive(self, answer: Mapping[str, str], away: Away) -> Outsider:
        """The person who comes back with an answer of the provider's.

        Raises SignInRefused where the answer is not to what was asked, the provider or our roles say no, or the token
        is not sound; BadAnswer where the provider does not answer as it should.
        """
        found = await self._discovered()
        if self._clock() > away.expires or not hmac.compare_digest(
            answer.get("state", "").encode(), away.state.encode()
        ):
            raise SignInRefused("this is no answer to a sign-in that began here; begin again")
        named = answer.get("iss")
        if (named is not None or found.authorization_response_iss_parameter_supported) and named != found.issuer:
            raise SignInRefused("the answer comes from another identity provider than the one that was asked")
        if "error" in answer or "code" not in answer:
            raise SignInRefused(f"the identity provider says no: {_word(answer.get('error', 'it sent no code'))}")
        claims = await self._claims(await self._exchanged(found, answer["code"], away), found, away)
        return self._outsider(claims)

    async def _exchanged(self, found: _Discovered, code: str, away: Away) -> str:
        settings = self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": away.redirect,
            "code_verifier": away.verifier,
        }
        headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")]
        if settings.client_secret is None:
            form["client_id"] = settings.client_id
        elif "client_secret_basic" in found.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
            headers.append(("authorization", f"Basic {b64encode(pair.encode()).decode()}"))
        else:
            form |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
        body = await self._fetched("POST", found.token_endpoint, tuple(headers), urlencode(form).encode())
        return _read(body, _Tokens).id_token

    async def _claims(self, token: str, found: _Discovered, away: Away) -> Mapping[str, Any]:
        """What the token says, once its signature, issuer, audience, time and nonce are as they have to be."""
        try:
            claims = await self._signed(token, found)
            self._tokens.validate(claims, self._clock, iss=found.issuer, aud=self.settings.client_id, nonce=away.nonce)
        except ValueError as fault:
            raise SignInRefused(f"the token of the identity provider is not sound: {fault}") from None
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self.settings.client_id:
            raise SignInRefused("the token of the identity provider was made for somebody else")
        return claims

    async def _signed(self, token: str, found: _Discovered) -> Mapping[str, Any]:
        """What the token says, once its signature holds; with the provider's newest keys where it names another one."""
        keys = await self._key_set(found, older_than=_KNOWN_FOR)
        try:
            claims: Mapping[str, Any] = self._tokens.claims_of(token, keys)
        except ValueError:
            newer = await self._key_set(found, older_than=_ASK_AGAIN)
            if newer is keys:
                raise
            claims = self._tokens.claims_of(token, newer)
        return claims

    def _outsider(self, claims: Mapping[str, Any]) -> Outsider:
        held = claims.get(self.settings.groups, ())
        groups = {held} if isinstance(held, str) else {each for each in held if isinstance(each, str)}
        roles = {role for group, role in self.settings.roles.items() if group in groups}
        role = next((role for role in ROLES if role in roles), self.settings.default_role)
        if role is None:
            raise SignInRefused("the identity provider knows this person, but none of their groups has a role here")
        email = claims.get("email") if claims.get("email_verified") is True else None
        name = claims.get("name") or claims.get("preferred_username") or email or claims["sub"]
        return Outsider(
            f"{claims['iss']} {claims['sub']}", role, _word(str(name)), email if isinstance(email, str) else None
        )

    async def _discovered(self) -> _Discovered:
        if self._found is not None and self._clock() - self._found[0] < _KNOWN_FOR:
            return self._found[1]
        issuer = self.settings.issuer
        body = await self._fetched("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        found = _read(body, _Discovered)
        if found.issuer != issuer:
            raise BadAnswer(f"the identity provider names itself {_word(found.issuer)}, and not {issuer}")
        self._found = (self._clock(), found)
        return found

    async def _key_set(self, found: _Discovered, *, older_than: float) -> Any:
        """The provider's keys, asked for anew where ours are older than so many seconds."""
        async with self._asking:
            if self._keys is not None and self._clock() - self._keys[0] < older_than:
                return self._keys[1]
            body = await self._fetched("GET", found.jwks_uri)
            try:
                keys = self._tokens.keys_in(body)
            except ValueError:
                raise BadAnswer("the identity provider's keys cannot be read") from None
            self._keys = (self._clock(), keys)
            return keys

    async def _fetched(
        self, method: str, url: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> bytes:
        """The body of a good answer; of a bad one nothing is repeated, for it may hold what was sent."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None:
            raise BadAnswer("the identity provider names an address that is none")
        tls = parts.scheme == "https"
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        origin = Origin(parts.hostname, parts.port or (443 if tls else 80), tls)
        try:
            answer = await self._http.open(HttpCall(origin, target, headers, body, method), _PATIENCE)
            content = await answer.read()
        except DirigentError as fault:
            raise BadAnswer(f"the identity provider does not answer: {fault.message}") from None
        if answer.status != 200:
            raise BadAnswer(f"the identity provider answers {method} {parts.path} with status {answer.status}")
        return content


def provider_within(data: Path, http: Http, clock: Callable[[], float] = time.time) -> IdentityProvider | None:
    """The provider that the data folder's file `identity-provider.json` names; None where there is no such file.

    Raises DirigentError where the file cannot be read, without repeating what is in it.
    """
    file = data / "identity-provider.json"
    try:
        settings = msgspec.json.decode(file.read_bytes(), type=Oidc)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise DirigentError(f"{file} cannot be read: {fault.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise DirigentError(f"{file} is not as it should be: {fault}") from None
    return IdentityProvider(settings, http, clock)


def seal(away: Away, secret: bytes) -> str:
    """What is remembered, so that the browser can carry it and nobody can change it."""
    told = urlsafe_b64encode(msgspec.json.encode(away))
    return f"{told.decode()}.{_signature(told, secret)}"


def unsealed(text: str, secret: bytes) -> Away | None:
    """What was remembered; None where it was not sealed here."""
    told, _, signature = text.partition(".")
    raw = told.encode("utf-8", "replace")
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(raw, secret).encode()):
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(raw), type=Away)
    except (ValueError, msgspec.DecodeError):
        return None


def _signature(told: bytes, secret: bytes) -> str:
    return _plain64(hmac.new(secret, b"oidc:" + told, sha256).digest())


def _plain64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _word(text: str) -> str:
    """What a stranger says, as one short line."""
    return " ".join(text.split())[:200].encode("utf-8", "replace").decode()


def _read(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadAnswer("the identity provider's answer cannot be read") from None
