"""What becomes of a provider's answer where the caller speaks another dialect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event, folded
from dirigent.core.messages import Request
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.errors import shape_of
from tests.dialects.matrix.folding import folded_stream
from tests.dialects.matrix.sending import asked
from tests.dialects.matrix.spoken import DIALECTS, Json, decoded_stream, encoded_stream, kept, outline

__all__ = ["told", "told_error", "told_stream", "told_whole"]

_ASKED_FOR: Final = {"parallel_tools": "choice_required", "structure": "structure", "thinking": "thinking"}
"""What was asked where the answer has this; else a text."""
_CREATED: Final = 1_790_000_000
_PIECE: Final = 61


def told(outbound: str, feature: str, inbound: str) -> Json:
    """What a caller of one dialect gets of the other's answer: whole, and as a stream."""
    given = kept("answered", outbound)[feature]
    if "status" in given:
        return {"error": told_error(outbound, feature, inbound)}
    cell: Json = {}
    if "whole" in given:
        cell["whole"] = told_whole(outbound, feature, inbound)
    events, failure = told_stream(outbound, feature, inbound)
    cell["stream"] = outline(inbound, events)
    if failure is not None:
        return {**cell, "failure": events[-1], "code": failure.code}
    if differs := sorted(_differences(cell["whole"], folded_stream(inbound, events))):
        cell["differs"] = dict(differs)
    return cell


def told_error(outbound: str, feature: str, inbound: str) -> Json:
    """The status and the body of a refusal."""
    given = kept("answered", outbound)[feature]
    body = msgspec.json.encode(given["whole"])
    error = DIALECTS[outbound].dialect.read_error(given["status"], body, given.get("retry_after"))
    written = {"status": shape_of(error).status, "body": msgspec.json.decode(_written(error, inbound))}
    return written | ({"retry_after": error.retry_after} if error.retry_after is not None else {})


def told_whole(outbound: str, feature: str, inbound: str) -> Json:
    """The body of a whole answer."""
    body = msgspec.json.encode(kept("answered", outbound)[feature]["whole"])
    try:
        response = folded(DIALECTS[outbound].dialect.read_response(body))
    except DirigentError as failure:
        return {"unreadable": failure.message, "code": failure.code}
    dialect = DIALECTS[inbound].dialect
    request = _asked_for(inbound, feature, stream=False)
    written: Json = msgspec.json.decode(dialect.write_response(response, request, dialect.prefix + "1", _CREATED))
    if inbound == "bedrock_converse":
        written.pop("metrics")  # how long it took
    return written


def told_stream(outbound: str, feature: str, inbound: str) -> tuple[list[Json], DirigentError | None]:
    """The events of a stream, and why it broke off where it did."""
    dialect = DIALECTS[inbound].dialect
    writer = dialect.writer(_asked_for(inbound, feature, stream=True), dialect.prefix + "1", _CREATED)
    written: list[bytes] = []
    failure: DirigentError | None = None
    try:
        written.extend(map(writer.write, _events(outbound, feature)))  # what was told before a failure stays told
        written.append(writer.end())
    except DirigentError as raised:
        failure = raised
        written.append(writer.fail(_written(raised, inbound)))
    events = decoded_stream(inbound, b"".join(written))
    for event in events:
        event.get("metadata", {}).pop("metrics", None)  # how long it took
    return events, failure


def _events(outbound: str, feature: str) -> Iterator[Event]:
    """What is read of the stream, in small pieces, before it ends or breaks off."""
    reader = DIALECTS[outbound].dialect.reader()
    data = encoded_stream(outbound, kept("answered", outbound)[feature]["stream"])
    for at in range(0, len(data), _PIECE):
        yield from reader.feed(data[at : at + _PIECE])
    yield from reader.end()


def _asked_for(inbound: str, feature: str, *, stream: bool) -> Request:
    return asked(inbound, _ASKED_FOR.get(feature, "text"), stream=stream)


def _written(error: DirigentError, inbound: str) -> bytes:
    dialect: Dialect = DIALECTS[inbound].dialect
    shape = shape_of(error)
    return dialect.write_error(error, shape.status, shape.kind, "req_1")


def _differences(whole: Any, streamed: Any, where: str = "") -> Iterator[tuple[str, Sequence[Any]]]:
    """Where the whole answer and what a stream adds up to are not the same; what is empty or null is as if absent."""
    if isinstance(whole, dict) and isinstance(streamed, dict):
        for key in sorted(whole.keys() | streamed.keys()):
            yield from _differences(whole.get(key), streamed.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(whole, list) and isinstance(streamed, list) and len(whole) == len(streamed):
        for index, (one, other) in enumerate(zip(whole, streamed, strict=True)):
            yield from _differences(one, other, f"{where}[{index}]")
    elif (whole or None) != (streamed or None):
        yield where, [whole, streamed]
