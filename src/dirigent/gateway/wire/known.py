"""A head that came before: it is compared byte for byte instead of being read again."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Form", "Head", "Known"]


class Head(msgspec.Struct):
    """What stands before a request's body."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    modern: bool
    """True for HTTP/1.1, False for HTTP/1.0."""
    keep: bool
    """True where the caller wants to go on after the answer."""
    memo: Any = None
    """What the handler has worked out from this head alone: the next request with the same bytes brings it again."""


class Form(msgspec.Struct, frozen=True):
    """A head that llhttp has read and nobody refused, cut where the length of its body stands."""

    before: bytes
    after: bytes | None
    """What stands behind the digits; None for a head without a body, which is all `before`."""
    head: Head


class Known:
    """The form of the last head that was read, shared by all connections of a server.

    A client sends the same head with request after request, but for the length of the body. What is the same byte for
    byte means the same, so it is compared instead of being read again.
    """

    __slots__ = ("form",)

    def __init__(self) -> None:
        self.form: Form | None = None
