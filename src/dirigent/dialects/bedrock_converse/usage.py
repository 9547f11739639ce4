"""Usage as Bedrock reports it, where what was read from the cache or written to it stands beside the input."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.usage import Usage
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["reported", "written_usage"]


class _CacheDetail(msgspec.Struct, rename="camel"):
    ttl: str = ""
    input_tokens: int = 0


class _WireUsage(msgspec.Struct, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_CacheDetail] | None = None
    """How long what was written to the cache stays there."""


_HOUR, _MINUTES = "1h", "5m"
_usage = msgspec.json.Decoder(_WireUsage)


def reported(raw: Raw) -> Usage | None:
    """`usage` in our own words, whose input includes the cached; None where it is missing or makes no sense."""
    if raw == NULL:
        return None
    try:
        wire = _usage.decode(raw)
    except UNREADABLE:
        return None
    if wire.input_tokens is None or wire.output_tokens is None:
        return None
    cached, kept = wire.cache_read_input_tokens or 0, wire.cache_write_input_tokens or 0
    minutes, hour = (
        sum(each.input_tokens for each in wire.cache_details or () if each.ttl == ttl) for ttl in (_MINUTES, _HOUR)
    )
    if min(wire.input_tokens, wire.output_tokens, cached, kept, minutes, hour) < 0:
        return None
    return Usage(
        wire.input_tokens + cached + kept,
        wire.output_tokens,
        cached,
        kept,
        cache_write_hour_tokens=min(hour, kept),
        cache_write_untold_tokens=max(0, kept - hour - minutes),
    )


def written_usage(usage: Usage) -> dict[str, Any]:
    """`usage` as Bedrock sends it."""
    written: dict[str, Any] = {
        "inputTokens": max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_input_tokens or usage.cache_write_tokens:
        written["cacheReadInputTokens"] = usage.cached_input_tokens
        written["cacheWriteInputTokens"] = usage.cache_write_tokens
    if told := usage.cache_write_tokens - usage.cache_write_untold_tokens:
        hour = usage.cache_write_hour_tokens
        minutes = told - hour
        written["cacheDetails"] = [
            {"ttl": ttl, "inputTokens": tokens} for ttl, tokens in ((_HOUR, hour), (_MINUTES, minutes)) if tokens
        ]
    return written
