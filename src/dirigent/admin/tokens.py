"""What an identity provider has signed. Nodes without such a provider load neither this nor the library below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

__all__ = ["Unsound", "claims_of", "keys_in", "validate"]

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures by a key that only the provider has; `none` and shared secrets are none."""
_LEEWAY = 60


class Unsound(ValueError):
    """A token or a set of keys that is not as it has to be; the message is the name of the fault."""


def keys_in(body: bytes) -> KeySet:
    """The keys that a provider publishes. Raises Unsound."""
    try:
        return KeySet.import_key_set(msgspec.json.decode(body))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Unsound(type(fault).__name__) from None


def claims_of(token: str, keys: KeySet) -> Mapping[str, Any]:
    """What a token says, once its signature holds by one of these keys. Raises Unsound."""
    try:
        return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
    except (JoseError, ValueError, KeyError, TypeError) as fault:
        raise Unsound(type(fault).__name__) from None


def validate(claims: Mapping[str, Any], now: Callable[[], float], **wanted: str) -> None:
    """Raises Unsound unless the time is right and each of these claims is what is wanted."""
    demands: dict[str, Any] = {name: {"essential": True} for name in ("sub", "exp", "iat")}
    demands |= {name: {"essential": True, "value": value} for name, value in wanted.items()}
    try:
        jwt.JWTClaimsRegistry(now=lambda: int(now()), leeway=_LEEWAY, **demands).validate(dict(claims))
    except (JoseError, ValueError, KeyError, TypeError) as fault:
        raise Unsound(type(fault).__name__) from None
