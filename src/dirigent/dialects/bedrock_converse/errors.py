"""Errors of Bedrock: what a refusal means, how ours is written, and both as exceptions within a stream."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    RateLimited,
    Rejected,
    TooLong,
    Unavailable,
)
from dirigent.dialects.raw import UNREADABLE
from dirigent.dialects.refusals import first_words, refused

__all__ = ["broken_off", "error_of", "exception_of", "read_error", "unreadable", "write_error"]


_TOO_LONG = re.compile(
    r"[Ii]nput is too long|prompt is too long|[Tt]oo many (?:input )?tokens|maximum context length|"
    r"exceeds? the (?:model's )?(?:maximum|context)|model_context_window"
)

_STATUS: Mapping[str, int] = {
    "ValidationException": 400,
    "ServiceQuotaExceededException": 400,
    "UnrecognizedClientException": 403,
    "InvalidSignatureException": 403,
    "ExpiredTokenException": 403,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ConflictException": 409,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
"""The exceptions that Bedrock documents, each with its status; in a stream the name is all that is told."""
_NAMES = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    500: "InternalServerException",
    502: "ModelErrorException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
_IN_STREAMS = {
    "ValidationException": "validationException",
    "ThrottlingException": "throttlingException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ModelErrorException": "modelStreamErrorException",
    "ModelTimeoutException": "modelStreamErrorException",
}
"""How a stream names the exceptions that it knows."""


class _WireError(msgspec.Struct):
    message: str | None = None
    kind: str | None = None
    status: int | None = None


class _Body(msgspec.Struct, rename="camel"):
    message: str | None = None
    upper: str | None = msgspec.field(default=None, name="Message")
    kind: str | None = msgspec.field(default=None, name="__type")
    code: str | None = None
    original_status_code: int | None = None
    original_message: str | None = None


_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def error_of(data: bytes) -> DirigentError | None:
    """The error that a body carries in an answer whose status said that all was well."""
    try:
        fields = _fields.decode(data)
    except UNREADABLE:
        return None
    return broken_off(data, "") if "__type" in fields or "message" in fields else None


def unreadable(fault: Exception, data: bytes, what: str) -> DirigentError:
    """What is wrong with an answer that cannot be read."""
    return error_of(data) or BadAnswer(f"{what} cannot be read: {fault}")


def broken_off(data: bytes, exception: str) -> DirigentError:
    """What an exception in a stream means, by its name and payload."""
    error = _wire_error(data)
    kind = exception[:1].upper() + exception[1:] or error.kind or ""
    words = error.message or "it gave no reason"
    status = _STATUS.get(kind)
    if status is None:
        return Unavailable(f"the provider broke off: {words}")
    return _refusal(status, _WireError(words, kind, error.status), words, None)


def read_error(status: int, body: bytes, retry_after: float | None) -> DirigentError:
    """What a provider's refusal means. Its status is read here because what it means is part of the dialect."""
    error = _wire_error(body)
    return _refusal(status, error, error.message or f"status {status} without a word", retry_after)


def _refusal(status: int, error: _WireError, words: str, retry_after: float | None) -> DirigentError:
    if status in (400, 413) and _TOO_LONG.search(words):
        return TooLong(words, param="messages")
    if status == 424 or error.kind in ("ModelNotReadyException", "ServiceQuotaExceededException"):
        return _special(error, words, retry_after)
    return refused(status, words, retry_after) or Rejected(words, kind=error.kind)


def _special(error: _WireError, words: str, retry_after: float | None) -> DirigentError:
    """What is told under a status that usually means something else."""
    if error.kind == "ServiceQuotaExceededException":
        return RateLimited(f"what the provider allows is used up: {words}", retry_after=retry_after)
    if error.kind == "ModelNotReadyException":
        return Unavailable(f"the provider's model is not ready: {words}", retry_after=retry_after)
    if error.status in (400, 413, 422):  # the model behind Bedrock refused; what it said has a status of its own
        return Rejected(words, kind=error.kind)
    return Unavailable(f"the provider's model failed: {words}", retry_after=retry_after)


def _wire_error(body: bytes) -> _WireError:
    """The error in a body, in whichever of the known shapes it comes; at worst the body's own first words."""
    try:
        read = _body.decode(body)
    except UNREADABLE:
        return _WireError(first_words(body))
    kind = read.kind or read.code
    words = read.message or read.upper or read.original_message
    return _WireError(words, kind.rpartition("#")[2] if kind else None, read.original_status_code)


def write_error(error: DirigentError, status: int) -> bytes:
    """An error in Bedrock's shape: its name stands in the body, where AWS's clients look for it too."""
    kept = error.kind if isinstance(error, Rejected) and error.kind in _STATUS else None
    name = kept or _NAMES.get(status) or ("InternalServerException" if status >= 500 else "ValidationException")
    return _encode({"__type": name, "message": error.message})


def exception_of(error: bytes) -> tuple[str, bytes]:
    """Such a body as an exception within a stream: its name there, and its payload."""
    read = _wire_error(error)
    name = _IN_STREAMS.get(read.kind or "", "internalServerException")
    return name, _encode({"message": read.message or ""})
