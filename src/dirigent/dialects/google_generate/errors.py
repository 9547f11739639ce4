"""Errors of Google's API: what a provider's refusal means, and how ours is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Misconfigured,
    Rejected,
    TimedOut,
    TooLong,
    Unavailable,
)
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.refusals import first_words, refused

__all__ = ["error_of", "read_error", "unreadable", "write_error"]


_TOO_LONG = re.compile(r"token count.{0,80}exceeds the maximum|exceeds the maximum number of tokens|context length")
_OURS_TO_MEND = re.compile(r"API[_ ]key|credential|billing|location is not supported|project", re.IGNORECASE)
"""A request that Google refuses with 400 or FAILED_PRECONDITION for a reason that is not in the request."""

_STATUS: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""Google's canonical codes; in a stream such a word may be all that is told."""
_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_PREFIX = "type.googleapis.com/google.rpc."


class _Violation(msgspec.Struct):
    field: str | None = None


class _Detail(msgspec.Struct, rename="camel"):
    kind: str = msgspec.field(default="", name="@type")
    reason: str | None = None
    retry_delay: str | None = None
    field_violations: list[_Violation] | None = None


class _WireError(msgspec.Struct):
    message: str | None = None
    status: str | None = None
    code: int | str | None = None
    details: list[_Detail] | None = None

    @property
    def reason(self) -> str | None:
        return next((each.reason for each in self.details or () if each.reason), None)

    @property
    def param(self) -> str | None:
        violations = [each for detail in self.details or () for each in detail.field_violations or ()]
        return next((each.field for each in violations if each.field), None)

    @property
    def retry_after(self) -> float | None:
        delays = [each.retry_delay for each in self.details or () if each.retry_delay]
        try:
            seconds = float(delays[0].removesuffix("s")) if delays else None
        except ValueError:
            return None
        return seconds if seconds is not None and isfinite(seconds) and seconds >= 0 else None


class _Plain(msgspec.Struct):
    """The same of a server that writes its details in its own way."""

    message: str | None = None
    status: str | None = None


_object = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])
_error = msgspec.json.Decoder(_WireError)
_plain = msgspec.json.Decoder(_Plain)
_encode = msgspec.json.Encoder().encode


def error_of(data: bytes) -> DirigentError | None:
    """The error that a body or an event of a stream carries in an answer whose status said that all was well."""
    try:
        if _object.decode(data).get("error", NULL) == NULL:
            return None
    except UNREADABLE:
        return None
    error = _wire_error(data)
    status = error.code if isinstance(error.code, int) else _STATUS.get(error.status or "")
    words = error.message or "it gave no reason"
    if status is None or not 400 <= status < 600:
        return Unavailable(f"the provider broke off: {words}")
    return _refusal(status, error, words, None)


def unreadable(fault: Exception, data: bytes, what: str) -> DirigentError:
    """What is wrong with an answer, or an event of it, that cannot be read."""
    return error_of(data) or BadAnswer(f"{what} cannot be read: {fault}")


def read_error(status: int, body: bytes, retry_after: float | None) -> DirigentError:
    """What a provider's refusal means. Its status is read here because what it means is part of the dialect."""
    error = _wire_error(body)
    return _refusal(status, error, error.message or f"status {status} without a word", retry_after)


def _refusal(status: int, error: _WireError, words: str, retry_after: float | None) -> DirigentError:
    wait = retry_after if retry_after is not None else error.retry_after
    if status in (400, 413) and _TOO_LONG.search(words):
        return TooLong(words, param="contents")
    if status == 400 and (error.reason or error.status == "FAILED_PRECONDITION") and _OURS_TO_MEND.search(words):
        return Misconfigured(f"the provider refuses us: {error.reason or error.status}")  # its words may hold the key
    if status == 402:
        return Misconfigured("the provider wants to be paid first (status 402)")
    if status == 499:
        return TimedOut(f"the provider timed out: {words}", retry_after=wait)
    return refused(status, words, wait, prompt="contents") or Rejected(
        words, param=error.param, kind=error.status, reason=error.reason
    )


def _wire_error(body: bytes) -> _WireError:
    """The error in a body, in whichever of the known shapes it comes; at worst the body's own first words."""
    try:
        if body.lstrip()[:1] == b"[":  # so Google tells an error of a stream that was asked for as a list
            body = bytes(_list.decode(body)[0])
        raw = _object.decode(body).get("error", Raw(body))
        if bytes(raw).startswith(b'"'):
            return _WireError(msgspec.json.decode(raw, type=str))
        try:
            return _error.decode(raw)
        except msgspec.ValidationError:
            plain = _plain.decode(raw)
            return _WireError(plain.message, plain.status)
    except (*UNREADABLE, IndexError):
        return _WireError(first_words(body))


def write_error(error: DirigentError, status: int) -> bytes:
    """An error in Google's shape, with the details that its own clients read."""
    kept = error.kind if isinstance(error, Rejected) and error.kind in _STATUS else None
    reason = error.reason if isinstance(error, Rejected) else None
    details: list[dict[str, Any]] = [
        {"@type": f"{_PREFIX}ErrorInfo", "reason": reason or error.code.upper(), "domain": "dirigent"}
    ]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_PREFIX}BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": f"{_PREFIX}RetryInfo", "retryDelay": f"{error.retry_after:.3f}s"})
    word = kept or _WORDS.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return _encode({"error": {"code": status, "message": error.message, "status": word, "details": details}})
