"""What makes two requests the same: everything in them but what cannot change an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from dirigent.core.messages import Message, Request, Text
from dirigent.core.run import Run

__all__ = ["IMMATERIAL", "family_of", "key_of", "question_of"]

IMMATERIAL = frozenset(
    (
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "stream_options",  # what it asks of a stream is known as `include_usage`
        "user",
    )
)
"""Fields that say who asks, how it is billed or where it is kept, and nothing of what is answered."""

_encode = msgspec.json.Encoder(order="sorted").encode
_PLACE = Message("user", (Text("\0"),))
"""What stands for the question in the key of its family."""


def key_of(request: Request, run: Run) -> bytes:
    """The key of a request to the present model; two that differ in anything that matters never share one.

    Requests that still have their own bytes are compared by these, field by field in any order: what nobody here
    understands counts as well, and nothing is read that need not be.
    """
    wire = request.wire
    if wire is None:
        return _digest(_frame(request, run), b"words", _words(request))
    frame = _frame(request, run)
    if wire.fields and wire.content_type == "application/json":
        fields = ((name.encode(), bytes(raw)) for name, raw in sorted(wire.fields.items()) if name not in IMMATERIAL)
        return _digest(frame, b"fields", _encode(request.headers), *(part for pair in fields for part in pair))
    return _digest(frame, b"body", _encode((request.headers, wire.content_type)), wire.body)


def family_of(request: Request, run: Run) -> bytes:
    """The key of all requests that are this one but for what the user says last, unless the bytes tell otherwise."""
    wire = request.wire
    told = _encode((wire.dialect, request.headers)) if wire is not None else b""
    opened = msgspec.structs.replace(request, messages=(*request.messages[:-1], _PLACE), wire=None)
    return _digest(_frame(request, run), b"family", told, _words(opened))


def question_of(request: Request, longest: int) -> str | None:
    """What the user says last, where it is text alone and a conversation; None where it is not to be compared."""
    last = request.messages[-1] if request.messages else None
    if request.task != "chat" or request.job is not None or last is None or last.role != "user" or last.name:
        return None
    if len(last.parts) != 1 or not isinstance(part := last.parts[0], Text) or part.cache is not None:
        return None
    return part.text if part.text.strip() and len(part.text) <= longest else None


def _frame(request: Request, run: Run) -> bytes:
    """What the bytes of a request need not say: who is asked, under which configuration, in which way."""
    return _encode(
        (
            run.catalog.revision,
            run.model,
            request.model,
            request.task,
            request.dialect,
            request.wire.dialect if request.wire is not None else None,
            request.stream,
            request.include_usage,
        )
    )


def _words(request: Request) -> bytes:
    """All that our own words say, each union's member by its name."""
    fields = {name: getattr(request, name) for name in request.__struct_fields__ if name not in ("user", "wire")}
    fields["extra"] = {name: bytes(raw) for name, raw in request.extra.items() if name not in IMMATERIAL}
    return _encode(_named(fields))


def _named(value: Any) -> Any:
    """Structs with their names, so that a text and a refusal of the same words differ."""
    if isinstance(value, msgspec.Struct):
        return [type(value).__name__, *(_named(getattr(value, name)) for name in value.__struct_fields__)]
    if isinstance(value, msgspec.Raw):
        return ["raw", bytes(value)]
    if isinstance(value, Mapping):
        return {name: _named(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):  # messages and tools may be read late
        return [_named(each) for each in value]
    return value


def _digest(*parts: bytes) -> bytes:
    return blake2b(b"".join(_framed(parts)), digest_size=32).digest()


def _framed(parts: Iterable[bytes]) -> Iterable[bytes]:
    for part in parts:
        yield len(part).to_bytes(8, "big")
        yield part
