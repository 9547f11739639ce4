"""The one table from what went wrong to HTTP: code -> status, and the `type` by which OpenAI's clients sort errors."""

from __future__ import annotations

from math import ceil

import msgspec

from dirigent.core.errors import DirigentError

__all__ = ["SHAPES", "Shape", "WireFault", "headers_of", "shape_of"]


class Shape(msgspec.Struct, frozen=True):
    """How an error looks from outside."""

    status: int
    kind: str
    retry: bool | None = None
    """What `x-should-retry` tells the SDKs where their own rule by status would be wrong."""


SHAPES = {
    "invalid_request": Shape(400, "invalid_request_error"),
    "unsupported": Shape(400, "invalid_request_error"),
    "context_length_exceeded": Shape(400, "invalid_request_error"),
    "request_too_large": Shape(413, "invalid_request_error"),
    "invalid_api_key": Shape(401, "authentication_error"),
    "forbidden": Shape(403, "permission_error"),
    "purpose_required": Shape(403, "permission_error"),
    "budget_exceeded": Shape(429, "insufficient_quota", retry=False),
    "limit_exceeded": Shape(429, "rate_limit_error"),
    "price_unknown": Shape(403, "permission_error", retry=False),
    "model_not_found": Shape(404, "invalid_request_error"),
    "idempotency_key_reused": Shape(422, "invalid_request_error"),
    "not_found": Shape(404, "invalid_request_error"),
    "conflict": Shape(409, "invalid_request_error"),
    "method_not_allowed": Shape(405, "invalid_request_error"),
    "rate_limit_exceeded": Shape(429, "rate_limit_error"),
    "bad_answer": Shape(502, "api_error"),
    "deployment_misconfigured": Shape(502, "api_error", retry=False),
    "provider_error": Shape(502, "api_error"),
    "service_refused": Shape(502, "api_error", retry=False),
    "query_failed": Shape(502, "api_error", retry=False),
    "unavailable": Shape(503, "api_error"),
    "busy": Shape(503, "api_error"),
    "database_unavailable": Shape(503, "api_error"),
    "ledger_unavailable": Shape(503, "api_error"),
    "no_candidate": Shape(503, "api_error"),
    "run_limit_exceeded": Shape(504, "api_error", retry=False),
    "timeout": Shape(504, "api_error"),
    "not_approved": Shape(409, "api_error", retry=False),
    "cancelled": Shape(409, "api_error", retry=False),
    "erased": Shape(410, "api_error", retry=False),
    "step_interrupted": Shape(409, "api_error", retry=False),
    "worker_lost": Shape(503, "api_error", retry=False),
    "internal_error": Shape(500, "api_error"),
}
_UNFORESEEN = Shape(500, "api_error")


class WireFault(DirigentError):
    """A fault of the HTTP exchange itself, found before anything of the request was understood."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # the codes of the wire are many and say nothing to the core


def shape_of(error: DirigentError) -> Shape:
    """Status and type of an error; a code that nobody foresaw is our fault."""
    return SHAPES.get(error.code, _UNFORESEEN)


def headers_of(error: DirigentError, shape: Shape) -> list[tuple[str, str]]:
    """When to ask again, and whether at all, in the headers that both SDKs read."""
    headers: list[tuple[str, str]] = []
    if error.retry_after is not None:
        headers.append(("retry-after", str(ceil(error.retry_after))))
        headers.append(("retry-after-ms", str(ceil(error.retry_after * 1000))))
    if shape.retry is not None:
        headers.append(("x-should-retry", "true" if shape.retry else "false"))
    return headers
