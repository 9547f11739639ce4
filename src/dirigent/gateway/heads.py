"""The head of a good answer as bytes: what is the same for every answer of a deployment is made once."""

from __future__ import annotations

from functools import lru_cache

from dirigent.dialects.dialect import Dialect
from dirigent.gateway.call import Call, plain
from dirigent.gateway.headers import told

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
    fixed = _fixed(kind, run.catalog.revision, record.deployment)
    named, of = call.request_id, call.run_id
    cost = record.known_cost
    paid = f"x-dirigent-cost: {cost}\r\n" if cost is not None else ""
    why = f"x-dirigent-route: {plain(record.route or '')}\r\n" if record.decisions else ""
    lines = f"{fixed}x-request-id: {named}\r\nrequest-id: {named}\r\nx-dirigent-run: {of}\r\n{paid}{why}".encode()
    if record.left_out or record.reused is not None:
        lines += _lines(tuple(told(record)))
    elif record.forwarded:  # all that it would tell, without asking it
        lines += _lines(record.forwarded)
    return lines + _STREAM if streamed else lines


@lru_cache(maxsize=512)
def _fixed(kind: str, revision: str, deployment: str | None) -> str:
    model = f"x-dirigent-model: {deployment}\r\n" if deployment is not None else ""
    return f"HTTP/1.1 200 OK\r\ncontent-type: {plain(kind)}\r\nx-dirigent-revision: {revision}\r\n{model}"


@lru_cache(maxsize=64)  # a provider whose head is always the same tells the same in it
def _lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    return "".join([f"{name}: {plain(value)}\r\n" for name, value in headers]).encode("latin-1", "replace")
