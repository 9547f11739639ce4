"""Which answers are worth giving again."""

from __future__ import annotations

from collections.abc import Sequence

from dirigent.core.errors import DirigentError
from dirigent.core.events import (
    Embedded,
    Event,
    Finished,
    RefusalDelta,
    Spoken,
    TextDelta,
    ToolCallDelta,
    Transcribed,
    Verbatim,
)
from dirigent.core.messages import Request
from dirigent.dialects import DIALECTS

__all__ = ["lasting"]

_WHOLE = ("stop", "tool_calls")


def lasting(events: Sequence[Event], request: Request) -> bool:
    """Whether an answer that came to its end may be given again: said something, and was neither cut nor filtered."""
    try:
        events = _read(events, request)
    except DirigentError:  # what cannot be read cannot be vouched for
        return False
    if any(isinstance(event, Embedded | Spoken | Transcribed) for event in events):
        return True
    finished = {event.choice: event.reason in _WHOLE for event in events if isinstance(event, Finished)}
    said = {
        event.choice
        for event in events
        if (isinstance(event, TextDelta) and event.text.strip()) or (isinstance(event, ToolCallDelta) and event.name)
    }
    refused = any(isinstance(event, RefusalDelta) and event.text for event in events)
    return (
        bool(said)
        and not refused
        and len(finished) >= request.choices
        and all(finished.values())
        and (said >= finished.keys())
    )


def _read(events: Sequence[Event], request: Request) -> Sequence[Event]:
    """The same in our own words, where they are a provider's bytes."""
    passed = b"".join([event.data for event in events if isinstance(event, Verbatim)])
    if not passed:
        return events
    name = request.wire.dialect if request.wire is not None else request.dialect
    dialect = next((kind() for kind in DIALECTS.kinds.values() if kind.name == name), None)
    if dialect is None:
        return ()
    if not request.stream or passed.startswith(b"{"):
        return dialect.read_response(passed)
    reader = dialect.reader()
    return (*reader.feed(passed), *reader.end())
