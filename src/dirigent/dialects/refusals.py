"""What a provider's refusal means wherever HTTP alone tells it; it knows no wire format."""

from __future__ import annotations

import re

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Misconfigured,
    RateLimited,
    TimedOut,
    TooLong,
    Unavailable,
)

__all__ = ["first_words", "refused"]

_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def refused(status: int, words: str, retry_after: float | None, *, prompt: str = "messages") -> DirigentError | None:
    """What a refusal with this status means; None where the request is at fault, or the dialect has to say more.

    `prompt` names the field that is too long where the body was too large.
    """
    match status:
        case 401 | 403:  # without the provider's words: some of them repeat the key
            return Misconfigured(f"the provider refuses our credentials (status {status})")
        case 404 | 410:
            return Misconfigured(f"the provider does not know this deployment (status {status}): {words}")
        case 408 | 504:
            return TimedOut(f"the provider timed out: {words}", retry_after=retry_after)
        case 409 | 425 | 429:
            return RateLimited(f"the provider asks to slow down: {words}", retry_after=retry_after)
        case 413:  # what is too large for this one may fit another
            return TooLong(words, param=prompt)
        case _ if status >= 500:
            return Unavailable(f"the provider failed (status {status}): {words}", retry_after=retry_after)
        case _ if 300 <= status < 400:
            return Misconfigured(f"the provider sends us elsewhere (status {status}): `base_url` is not its API")
        case _ if status < 300:
            return BadAnswer(f"the provider answered with the status {status}, which brings no answer")
        case _:
            return None


def first_words(body: bytes) -> str | None:
    """What a body that is no error of a dialect says first; of a web page its title."""
    if body.lstrip()[:1] == b"<":
        title = _TITLE.search(body[:10_000])
        said = title[1].strip() if title else b""
        return f"a web page: {said[:200].decode(errors='replace')}" if said else "a web page"
    return body[:500].decode(errors="replace").strip() or None
