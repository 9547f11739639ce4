"""The one table from what went wrong to HTTP, for the control plane, and the one shape in which it is told."""

from __future__ import annotations

from math import ceil

import msgspec

from dirigent.core.errors import DirigentError, InvalidConfiguration

__all__ = ["STATUSES", "Fault", "Place", "Told", "WrongWay", "fault_of", "headers_of", "status_of"]

STATUSES = {
    "invalid_request": 400,
    "invalid_configuration": 422,
    "unsupported": 400,
    "request_too_large": 413,
    "wrong_media_type": 415,
    "not_found": 404,
    "revision_not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "invalid_api_key": 401,
    "sign_in_refused": 401,
    "csrf": 403,
    "forbidden": 403,
    "purpose_required": 403,
    "too_many_attempts": 429,
    "limit_exceeded": 429,
    "bad_answer": 502,
    "audit_broken": 503,
    "database_unavailable": 503,
    "key_lost": 503,
    "ledger_unavailable": 503,
    "schema_too_new": 503,
    "unavailable": 503,
    "internal_error": 500,
}


class Place(msgspec.Struct, frozen=True):
    """One fault of a configuration."""

    path: tuple[str | int, ...]
    """Where in the document."""
    message: str


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong."""

    code: str
    """For programs; it stays the same."""
    message: str
    """For people."""
    field: str | None = None
    """The field of the order that is at fault, such as `limit` or `models[2]`."""
    faults: tuple[Place, ...] = ()
    """Of a configuration: every fault that could be seen at once."""


class Fault(msgspec.Struct, frozen=True):
    """The body of every answer that is not the one that was asked for."""

    error: Told


class WrongWay(DirigentError):
    """The request does not fit the way in which this interface is spoken to."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # the codes of the wire are many and say nothing to the core


def status_of(error: DirigentError) -> int:
    """The status of an error; a code that nobody foresaw is our fault."""
    return STATUSES.get(error.code, 500)


def fault_of(error: DirigentError) -> Fault:
    """The body that tells of an error."""
    found = error.findings if isinstance(error, InvalidConfiguration) else ()
    faults = tuple(Place(finding.path, finding.message) for finding in found)
    return Fault(Told(error.code, error.message, error.param, faults))


def headers_of(error: DirigentError) -> dict[str, str]:
    """When asking again makes sense, where somebody knows, and how to say who one is, where nobody said."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, ceil(error.retry_after)))
    if status_of(error) == 401:
        headers["www-authenticate"] = 'Bearer realm="dirigent"'
    return headers
