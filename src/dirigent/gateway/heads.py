"""The head of a good answer as bytes: what is the same for every answer of a deployment is made once."""

from __future__ import annotations

from functools import lru_cache

from dirigent.dialects.dialect import Dialect
from dirigent.gateway.call import Call, plain

__all__ = ["head_of_answer"]

_STREAM = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"


def head_of_answer(call: Call, dialect: Dialect, *, streamed: bool = False) -> bytes:
    """All of the head but its length, date and end: the same lines as `Call.headers` has."""
    run = call.run
    if run is None:
        raise ValueError("an answer comes from a run")
    record = run.record
    if streamed:
        kind = dialect.stream_content_type if call.request is None else dialect.stream_type(call.request)
    else:
        kind = record.content_type or dialect.content_type
    lines = b"%bx-request-id: %b\r\nrequest-id: %b\r\nx-dirigent-run: %b\r\n" % (
        _fixed(kind, run.catalog.revision, record.deployment),
        request_id := call.request_id.encode(),
        request_id,
        call.run_id.encode(),
    )
    if (cost := record.known_cost) is not None:
        lines += b"x-dirigent-cost: %b\r\n" % str(cost).encode()
    if record.decisions:
        lines += b"x-dirigent-route: %b\r\n" % plain(record.route or "").encode()
    if record.forwarded:
        lines += b"".join(
            [f"{name}: {plain(value)}\r\n".encode("latin-1", "replace") for name, value in record.forwarded]
        )
    return lines + _STREAM if streamed else lines


@lru_cache(maxsize=512)
def _fixed(kind: str, revision: str, deployment: str | None) -> bytes:
    model = f"x-dirigent-model: {deployment}\r\n" if deployment is not None else ""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {plain(kind)}\r\nx-dirigent-revision: {revision}\r\n{model}"
    return head.encode("latin-1", "replace")
