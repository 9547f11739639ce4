"""Errors in OpenAI's shape, which several wire formats share: what a provider's refusal means, how ours is written."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Misconfigured,
    RateLimited,
    Rejected,
    TimedOut,
    TooLong,
    Unavailable,
)

__all__ = ["UNREADABLE", "broken_off", "error_of", "read_error", "write_error"]

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that reading JSON of strangers may raise."""

_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "model_max_length")
_TOO_LONG_WORDS = ("maximum context length", "exceeds the available context size", "prompt is too long")
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_NULL = Raw(b"null")


class _WireError(msgspec.Struct):
    """`error` as providers send it; several invent their own types for the fields."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None

    @property
    def reason(self) -> str | None:
        return None if self.code is None else str(self.code)


_object = msgspec.json.Decoder(dict[str, Raw])
_error = msgspec.json.Decoder(_WireError)
_encode = msgspec.json.Encoder().encode


def error_of(data: bytes) -> DirigentError | None:
    """The error that a body or an event of a stream carries in an answer whose status said that all was well."""
    try:
        fields = _object.decode(data)
    except UNREADABLE:
        return None
    if fields.get("error", _NULL) == _NULL and fields.get("object") != Raw(b'"error"'):
        return None
    return _meaning(_wire_error(data), None)


def broken_off(raw: Raw) -> DirigentError:
    """What an `error` inside an answer means, undecoded as it stands there."""
    return _meaning(_wire_error(b'{"error":' + bytes(raw) + b"}"), None)


def read_error(status: int, body: bytes, retry_after: float | None) -> DirigentError:
    """What a provider's refusal means. Its status is read here because what it means is part of the dialect."""
    error = _wire_error(body)
    error.message = error.message or f"status {status} without a word"
    if _is_too_long(error):
        return TooLong(error.message, param=error.param or "messages")
    return _refusal(status, error, retry_after)


def _meaning(error: _WireError, retry_after: float | None) -> DirigentError:
    """What an error without a status means; some put the status into `code`."""
    words = error.message = error.message or "it gave no reason"
    if _is_too_long(error):
        return TooLong(words, param=error.param or "messages")
    if error.reason is not None and re.fullmatch("[45][0-9][0-9]", error.reason):
        return _refusal(int(error.reason), error, retry_after)
    if "rate_limit" in f"{error.reason} {error.type}" or error.reason == "insufficient_quota":
        return _refusal(429, error, retry_after)
    if error.type == "invalid_request_error":
        return _refusal(400, error, retry_after)
    return Unavailable(f"the provider broke off: {words}")


def _refusal(status: int, error: _WireError, retry_after: float | None) -> DirigentError:
    words = error.message or ""
    match status:
        case 401 | 403:  # without the provider's words: some of them repeat the key
            return Misconfigured(f"the provider refuses our credentials (status {status})")
        case 402:
            return Misconfigured("the provider wants to be paid first (status 402)")
        case 404 | 410:
            return Misconfigured(f"the provider does not know this deployment (status {status}): {words}")
        case 408 | 504:
            return TimedOut(f"the provider timed out: {words}", retry_after=retry_after)
        case 429 if "insufficient_quota" in (error.reason, error.type):
            return Misconfigured(f"what was paid for at the provider is used up: {words}")
        case 409 | 425 | 429:
            return RateLimited(f"the provider asks to slow down: {words}", retry_after=retry_after)
        case 413:  # what is too large for this one may fit another
            return TooLong(words, param=error.param or "messages")
        case _ if status >= 500:
            return Unavailable(f"the provider failed (status {status}): {words}", retry_after=retry_after)
        case _ if 300 <= status < 400:
            return Misconfigured(f"the provider sends us elsewhere (status {status}): `base_url` is not its API")
        case _ if status < 300:
            return BadAnswer(f"the provider answered with the status {status}, which brings no answer")
        case _:
            return Rejected(words, param=error.param, kind=error.type, reason=error.reason)


def _is_too_long(error: _WireError) -> bool:
    words = error.message or ""
    return error.code in _TOO_LONG or error.type in _TOO_LONG or any(sign in words for sign in _TOO_LONG_WORDS)


def _wire_error(body: bytes) -> _WireError:
    """The error in a body, in whichever of the known shapes it comes; at worst the body's own first words."""
    try:
        fields = _object.decode(body)
        raw = fields.get("error", Raw(body))
        if bytes(raw).startswith(b'"'):
            return _WireError(msgspec.json.decode(raw, type=str))
        error = _error.decode(raw)
        if error.message is None:
            said = next((fields[name] for name in ("detail", "message") if name in fields), None)
            error.message = None if said is None else bytes(said)[:500].decode(errors="replace").strip('"')
        return error
    except UNREADABLE:
        return _WireError(_first_words(body))


def _first_words(body: bytes) -> str | None:
    """What a body that is no error of this dialect says first; of a web page its title."""
    if body.lstrip()[:1] == b"<":
        title = _TITLE.search(body[:10_000])
        said = title[1].strip() if title else b""
        return f"a web page: {said[:200].decode(errors='replace')}" if said else "a web page"
    return body[:500].decode(errors="replace").strip() or None


def write_error(error: DirigentError, kind: str) -> bytes:
    """An error in OpenAI's shape, with real nulls. A provider's own `type` and `code` are kept where it gave them."""
    given_kind, code = (error.kind, error.reason) if isinstance(error, Rejected) else (None, None)
    body = {"message": error.message, "type": given_kind or kind, "param": error.param, "code": code or error.code}
    return _encode({"error": body})
