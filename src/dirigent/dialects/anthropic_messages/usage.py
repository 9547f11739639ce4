"""Usage as Anthropic reports it, where what was read from the cache or written to it stands beside the input."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.usage import Usage
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["WireUsage", "gathered", "reported", "understood", "written_usage"]


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """`usage` of an answer, or what one event of a stream tells of it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    cache_creation: _CacheCreation | None = None
    """How long what was written to the cache stays there."""


_usage = msgspec.json.Decoder(WireUsage)


def reported(raw: Raw) -> Usage | None:
    """`usage` in our own words; None where nothing is reported or it cannot be read: then it is unknown, not zero."""
    return understood(_read(raw))


def gathered(known: WireUsage | None, raw: Raw) -> WireUsage | None:
    """What is known after one more report. Reports are totals, so a later figure replaces an earlier one.

    A report of nothing but zeros for the input replaces nothing: some servers tell of it at the beginning alone.
    """
    told = _read(raw)
    if told is None or known is None:
        return told or known
    inputs = known
    if told.input_tokens or told.cache_read_input_tokens or told.cache_creation_input_tokens:
        inputs = WireUsage(
            _later(told.input_tokens, known.input_tokens),
            cache_read_input_tokens=_later(told.cache_read_input_tokens, known.cache_read_input_tokens),
            cache_creation_input_tokens=_later(told.cache_creation_input_tokens, known.cache_creation_input_tokens),
            cache_creation=told.cache_creation or known.cache_creation,
        )
    return WireUsage(
        inputs.input_tokens,
        told.output_tokens or known.output_tokens,
        inputs.cache_read_input_tokens,
        inputs.cache_creation_input_tokens,
        told.output_tokens_details or known.output_tokens_details,
        inputs.cache_creation,
    )


def _later(told: int | None, known: int | None) -> int | None:
    return known if told is None else told


def understood(wire: WireUsage | None) -> Usage | None:
    """The report in our own words, whose input includes the cached; None where a part is missing or makes no sense."""
    if wire is None or wire.input_tokens is None or wire.output_tokens is None:
        return None
    cached, kept = wire.cache_read_input_tokens or 0, wire.cache_creation_input_tokens or 0
    thought = (wire.output_tokens_details.thinking_tokens if wire.output_tokens_details is not None else None) or 0
    split = wire.cache_creation or _CacheCreation()
    minutes, hour = split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0
    if min(wire.input_tokens, wire.output_tokens, cached, kept, thought, minutes, hour) < 0:
        return None
    return Usage(
        input_tokens=wire.input_tokens + cached + kept,
        output_tokens=wire.output_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=kept,
        reasoning_tokens=thought,
        cache_write_hour_tokens=min(hour, kept),
        cache_write_untold_tokens=max(0, kept - hour - minutes),
    )


def written_usage(usage: Usage) -> dict[str, Any]:
    """`usage` as Anthropic sends it."""
    written: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if told := usage.cache_write_tokens - usage.cache_write_untold_tokens:
        hour = usage.cache_write_hour_tokens
        minutes = told - hour
        written["cache_creation"] = {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}
    if usage.reasoning_tokens:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return written


def _read(raw: Raw) -> WireUsage | None:
    if raw == NULL:
        return None
    try:
        return _usage.decode(raw)
    except UNREADABLE:
        return None
