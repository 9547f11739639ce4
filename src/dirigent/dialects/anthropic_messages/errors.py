"""Errors of Anthropic messages: what a provider's refusal means, and how ours is written."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from dirigent.core.errors import (
    DirigentError,
    Misconfigured,
    Rejected,
    TooLong,
    Unavailable,
)
from dirigent.dialects.raw import UNREADABLE
from dirigent.dialects.refusals import first_words, refused

__all__ = ["broken_off", "error_of", "read_error", "write_error"]


_TOO_LONG = re.compile(
    r"prompt is too long|exceed(?:s|ed)? (?:the )?(?:maximum )?context|maximum context length|available context size"
)
_SAID = re.compile(r"prompt is too long|exceed context limit")
"""How Anthropic itself says it: agents shorten their talk by these very words."""
_UNPAID = "credit balance is too low"
_PARAM = re.compile(r"([a-z_]+(?:[.\[][\w\]]+)*): ")
"""How Anthropic names the field at fault: `messages.0.content: ...`."""

_STATUS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The types that Anthropic documents, each with its status; in a stream the type is all that is told."""

_TYPES: Mapping[str, str] = {
    "invalid_api_key": "authentication_error",
    "forbidden": "permission_error",
    "model_not_found": "not_found_error",
    "not_found": "not_found_error",
    "request_too_large": "request_too_large",
    "rate_limit_exceeded": "rate_limit_error",
    "timeout": "timeout_error",
    "run_limit_exceeded": "timeout_error",
    "unavailable": "overloaded_error",
    "no_candidate": "overloaded_error",
}
"""Our codes whose type neither status nor kind would tell."""
_KINDS: Mapping[str, str] = {"insufficient_quota": "billing_error"}
"""The kinds of OpenAI that Anthropic calls otherwise."""


class _Details(msgspec.Struct):
    error_code: str | None = None


class _WireError(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    details: _Details | None = None


_object = msgspec.json.Decoder(dict[str, Raw])
_error = msgspec.json.Decoder(_WireError)
_encode = msgspec.json.Encoder().encode


def error_of(data: bytes) -> DirigentError | None:
    """The error that a body or an event of a stream carries in an answer whose status said that all was well."""
    try:
        fields = _object.decode(data)
    except UNREADABLE:
        return None
    if fields.get("type") != Raw(b'"error"') and fields.get("error", Raw(b"null")) == Raw(b"null"):
        return None
    return broken_off(data)


def broken_off(data: bytes) -> DirigentError:
    """What an `error` event or body means whose only status is the type of the error."""
    error = _wire_error(data)
    words = error.message or "it gave no reason"
    status = _STATUS.get(error.type or "")
    if status is None:
        return Unavailable(f"the provider broke off: {words}")
    return _refusal(status, error, words, None)


def read_error(status: int, body: bytes, retry_after: float | None) -> DirigentError:
    """What a provider's refusal means. Its status is read here because what it means is part of the dialect."""
    error = _wire_error(body)
    return _refusal(status, error, error.message or f"status {status} without a word", retry_after)


def _refusal(status: int, error: _WireError, words: str, retry_after: float | None) -> DirigentError:
    if status in (400, 413) and _TOO_LONG.search(words):
        return TooLong(words, param="messages")
    if status == 402:
        return Misconfigured("the provider wants to be paid first (status 402)")
    if status == 400 and _UNPAID in words:  # Anthropic says it so, not with a status of its own
        return Misconfigured("the provider wants to be paid first: the credit is used up")
    if status == 529:
        return Unavailable(f"the provider is overloaded: {words}", retry_after=retry_after)
    place = _PARAM.match(words)
    reason = error.details.error_code if error.details is not None else None
    return refused(status, words, retry_after) or Rejected(
        words, param=place[1] if place else None, kind=error.type, reason=reason
    )


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


def write_error(error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
    """An error in Anthropic's shape. A provider's own `type` is kept where it is one of Anthropic's."""
    message = error.message
    if isinstance(error, TooLong) and not _SAID.search(message):
        message = f"prompt is too long: {message}"
    body = {"type": _type(error, status, kind), "message": message}
    return _encode({"type": "error", "error": body, "request_id": request_id})


def _type(error: DirigentError, status: int, kind: str) -> str:
    if isinstance(error, Rejected) and error.kind is not None and error.kind in _STATUS:
        return error.kind
    if error.code in _TYPES:
        return _TYPES[error.code]
    kind = _KINDS.get(kind, kind)
    if kind in _STATUS:
        return kind
    return "api_error" if status >= 500 else "invalid_request_error"
