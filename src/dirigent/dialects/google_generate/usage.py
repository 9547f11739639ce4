"""Usage as Google reports it: its prompt includes what was cached, its candidates do not include what was thought."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.usage import Usage
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["latest", "reported", "written_usage"]


class _Modality(msgspec.Struct, rename="camel"):
    modality: str | None = None
    token_count: int | None = None


class _WireUsage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[_Modality] | None = None
    candidates_tokens_details: list[_Modality] | None = None
    cache_tokens_details: list[_Modality] | None = None


_usage = msgspec.json.Decoder(_WireUsage)


def reported(raw: Raw) -> Usage | None:
    """`usageMetadata` in our own words; None where nothing is reported, or nothing that makes sense.

    The first chunks of a stream may tell of the prompt alone: then the answer has no tokens yet.
    """
    if raw == NULL:
        return None
    try:
        wire = _usage.decode(raw)
    except UNREADABLE:
        return None
    if wire.prompt_token_count is None and wire.candidates_token_count is None:
        return None
    prompt, said = wire.prompt_token_count or 0, wire.candidates_token_count or 0
    thought, cached = wire.thoughts_token_count or 0, wire.cached_content_token_count or 0
    found = wire.tool_use_prompt_token_count or 0
    if min(prompt, said, thought, cached, found) < 0:
        return None
    return Usage(
        input_tokens=prompt + found,
        output_tokens=said + thought,
        cached_input_tokens=cached,
        reasoning_tokens=thought,
        # sound from the cache is among what was cached, and must not be counted twice
        audio_input_tokens=max(0, _audio(wire.prompt_tokens_details) - _audio(wire.cache_tokens_details)),
        audio_output_tokens=_audio(wire.candidates_tokens_details),
    )


def latest(known: Usage | None, told: Usage | None) -> Usage | None:
    """What is known after one more report. Each is the total so far; a last one that leaves a field out lowers none."""
    if known is None or told is None:
        return told or known
    return Usage(
        max(known.input_tokens, told.input_tokens),
        max(known.output_tokens, told.output_tokens),
        max(known.cached_input_tokens, told.cached_input_tokens),
        max(known.cache_write_tokens, told.cache_write_tokens),
        max(known.reasoning_tokens, told.reasoning_tokens),
        max(known.audio_input_tokens, told.audio_input_tokens),
        max(known.audio_output_tokens, told.audio_output_tokens),
    )


def _audio(details: Iterable[_Modality] | None) -> int:
    return sum(max(each.token_count or 0, 0) for each in details or () if each.modality == "AUDIO")


def written_usage(usage: Usage) -> dict[str, Any]:
    """`usage` as Google sends it."""
    written: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_input_tokens:
        written["cachedContentTokenCount"] = usage.cached_input_tokens
    if usage.reasoning_tokens:
        written["thoughtsTokenCount"] = usage.reasoning_tokens
    for key, audio in (
        ("promptTokensDetails", usage.audio_input_tokens),
        ("candidatesTokensDetails", usage.audio_output_tokens),
    ):
        if audio:
            written[key] = [{"modality": "AUDIO", "tokenCount": audio}]
    return written
