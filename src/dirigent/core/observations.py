"""What observers are told: facts of what happened, never a word of its content."""

from __future__ import annotations

import msgspec

from dirigent.core.usage import Money

__all__ = ["Refused", "Served"]


class Refused(msgspec.Struct, frozen=True):
    """A request that a rule has refused: who was refused what by which rule, never a word of its content."""

    at: float
    """In seconds since 1970."""
    run: str
    code: str
    rule: str
    """In words; what the caller wrote stands in none of them."""
    tenant: str | None = None
    """None where the request came with no valid key."""
    key: str | None = None
    purpose: str | None = None
    model: str | None = None
    """The name that was asked for, where there is one of that name."""
    revision: str | None = None


class Served(msgspec.Struct, frozen=True):
    """What is noted of one request: who and what, never a word of its content."""

    at: float
    """When it ended, in seconds since 1970."""
    run: str
    request: str
    tenant: str | None
    project: str | None
    key: str | None
    path: str
    model: str | None = None
    deployment: str | None = None
    route: str | None = None
    revision: str | None = None
    status: int = 0
    code: str | None = None
    streamed: bool = False
    attempts: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Money | None = None
    """None where a price is not known, or nobody was asked."""
    seconds: float = 0.0
    first_token: float | None = None
    """Seconds until the first piece of a stream."""
    purpose: str | None = None
    member: str | None = None
    transaction: str | None = None
    """The business case, as the caller names it in `x-dirigent-transaction`."""
    cached_tokens: int = 0
    """Of the input tokens, those that the provider had in its cache."""
    reasoning_tokens: int = 0
    estimated: bool = False
    """Whether the tokens were counted here, because the provider said nothing."""
