"""Errors in OpenAI's shape, which several wire formats share: what a provider's refusal means, how ours is written."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from dirigent.core.errors import (
    DirigentError,
    Misconfigured,
    Rejected,
    TooLong,
    Unavailable,
)
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.refusals import first_words, refused

__all__ = ["broken_off", "error_of", "read_error", "write_error"]


_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "model_max_length")
_TOO_LONG_WORDS = ("maximum context length", "exceeds the available context size", "prompt is too long")


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
    if fields.get("error", NULL) == NULL and fields.get("object") != Raw(b'"error"'):
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
    if status == 402:
        return Misconfigured("the provider wants to be paid first (status 402)")
    if status == 429 and "insufficient_quota" in (error.reason, error.type):
        return Misconfigured(f"what was paid for at the provider is used up: {words}")
    return refused(status, words, retry_after, prompt=error.param or "messages") or Rejected(
        words, param=error.param, kind=error.type, reason=error.reason
    )


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
        return _WireError(first_words(body))


def write_error(error: DirigentError, kind: str) -> bytes:
    """An error in OpenAI's shape, with real nulls. A provider's own `type` and `code` are kept where it gave them."""
    given_kind, code = (error.kind, error.reason) if isinstance(error, Rejected) else (None, None)
    body = {"message": error.message, "type": given_kind or kind, "param": error.param, "code": code or error.code}
    return _encode({"error": body})
