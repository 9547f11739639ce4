"""From a bearer key to the principal: one dictionary look-up by the key's digest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Protocol
from urllib.parse import parse_qsl

from dirigent.core.errors import Unauthenticated
from dirigent.core.identity import Principal

__all__ = ["Keys", "digest"]

_GOOGLE = "/v1beta/"
_OURS = re.compile(rb"dk-[A-Za-z0-9_-]{43}")


class Principals(Protocol):
    """Who knows on whose behalf a key acts (core.ports.Rights)."""

    def principal(self, digest: bytes) -> Principal | None:
        """The principal of the key of this digest; None where it is not valid."""
        ...


class Keys:
    """The valid keys. Only their BLAKE2b digests are kept, so no listing of memory or table shows a key."""

    def __init__(self, principals: Principals) -> None:
        self._principal = principals.principal

    @classmethod
    def of(cls, keys: Mapping[str, Principal]) -> Keys:
        """The table for these keys in clear."""
        return cls(_Fixed({digest(key.encode()): principal for key, principal in keys.items()}))

    def principal(self, headers: Mapping[bytes, bytes], path: str = "", query: str = "") -> Principal:
        """On whose behalf a request with these headers acts. Raises Unauthenticated, and never repeats the key.

        Only on Google's paths the key may stand in the query, where its clients put it.
        """
        header = headers.get(b"authorization")
        principal = self._principal(digest(header[7:])) if header is not None and header[:7] == b"Bearer " else None
        return principal if principal is not None else self._looked_up(headers, path, query)

    def has_form(self, headers: Mapping[bytes, bytes], path: str = "", query: str = "") -> bool:
        """Whether a key was given that has the form of those that are issued, known or not. Raises Unauthenticated."""
        return _OURS.fullmatch(self._given(headers, path, query)) is not None

    def _looked_up(self, headers: Mapping[bytes, bytes], path: str, query: str) -> Principal:
        """The same for every other spelling, and the words for what is no key of ours."""
        principal = self._principal(digest(self._given(headers, path, query)))
        if principal is None:
            raise Unauthenticated("the key is not valid: it was mistyped, revoked or never issued here")
        return principal

    def _given(self, headers: Mapping[bytes, bytes], path: str, query: str) -> bytes:
        """The key that was given, in whichever place."""
        header = headers.get(b"authorization")
        if header is not None:
            scheme, _, key = header.partition(b" ")
            if scheme.lower() != b"bearer":
                raise Unauthenticated("the header `authorization` has the form `Bearer KEY`")
        else:
            key = headers.get(b"x-api-key") or headers.get(b"x-goog-api-key") or b""  # Anthropic's and Google's clients
            if not key and query and path.startswith(_GOOGLE):
                key = dict(parse_qsl(query)).get("key", "").encode()
        key = key.strip()
        if not key:
            raise Unauthenticated("no key was given: send it in the header `authorization` as `Bearer KEY`")
        return key


class _Fixed:
    """Keys that never change."""

    def __init__(self, principals: Mapping[bytes, Principal]) -> None:
        self.principal = principals.get


def digest(key: bytes) -> bytes:
    """How a key is kept. Keys are long and random, so a plain hash cannot be guessed backwards."""
    return blake2b(key, digest_size=32).digest()
