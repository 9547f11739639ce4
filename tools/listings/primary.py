"""Reads the primary source: a JSON object of rows, one per deployment, with a couple of hundred kinds of fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, cast, get_args

import msgspec

from dirigent.core.ports import Capability
from dirigent.core.usage import Price, Tier
from dirigent.listings import Entry
from tools.listings.figures import per_million, priced
from tools.listings.vendors import LOCAL, ours_of_primary, without_prefix

__all__ = ["Key", "read"]

Key = tuple[str, str]
"""Our vendor, and the name that goes over the wire."""
Row = Mapping[str, Any]

_TOKENS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
}
_RATES = {
    "annotation_page": "annotation_cost_per_page",
    "audio_second_input": "input_cost_per_audio_per_second",
    "batch_input": "input_cost_per_token_batches",
    "batch_output": "output_cost_per_token_batches",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "cached_audio_input": "cache_read_input_audio_token_cost",
    "character_input": "input_cost_per_character",
    "character_output": "output_cost_per_character",
    "citation": "citation_cost_per_token",
    "flex_input": "input_cost_per_token_flex",
    "flex_output": "output_cost_per_token_flex",
    "image_input": "input_cost_per_image",
    "image_output": "output_cost_per_image",
    "image_token_input": "input_cost_per_image_token",
    "image_token_output": "output_cost_per_image_token",
    "page": "ocr_cost_per_page",
    "pixel_input": "input_cost_per_pixel",
    "pixel_output": "output_cost_per_pixel",
    "priority_input": "input_cost_per_token_priority",
    "priority_output": "output_cost_per_token_priority",
    "query": "input_cost_per_query",
    "reasoning": "output_cost_per_reasoning_token",
    "request": "input_cost_per_request",
    "second_input": "input_cost_per_second",
    "second_output": "output_cost_per_second",
    "video_second_input": "input_cost_per_video_per_second",
    "video_token_input": "input_cost_per_video_token",
    "video_token_output": "output_cost_per_video_token",
}
_PER_REQUEST = ("query", "request")
_MODES = {
    "audio_speech": "speech",
    "audio_transcription": "transcription",
    "image_generation": "image",
    "video_generation": "video",
}
_CLAIMS = {
    "supports_audio_input": "audio",
    "supports_audio_output": "audio_output",
    "supports_computer_use": "computer_use",
    "supports_function_calling": "tools",
    "supports_image_input": "images",
    "supports_native_streaming": "streaming",
    "supports_native_structured_output": "json",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_pdf_input": "files",
    "supports_prompt_caching": "caching",
    "supports_reasoning": "reasoning",
    "supports_response_schema": "json",
    "supports_tool_choice": "tool_choice",
    "supports_video_input": "video",
    "supports_vision": "images",
    "supports_web_search": "web_search",
}
_INPUTS = {"image": "images", "audio": "audio", "video": "video"}
_OUTPUTS = {"image": "image_output", "audio": "audio_output", "video": "video_output"}
_TALKS = {"chat", "completion", "responses"}
_NOT_A_DEPLOYMENT = re.compile(r"^(sample_spec|fallback_generalizations|(together|fireworks)-ai-.*|.*\*.*)$")
_TIER = re.compile(r"_above_(\d+)k_tokens$")


def read(text: str, package: str) -> dict[Key, Entry]:
    """The entries of the source by vendor and name.

    Left out are rows that name no deployment: the sample, routing rules, size classes, wildcards and rows without a
    mode. Where one deployment stands in two rows, what one leaves open the other fills; raises ValueError where two
    rows both state a price and differ, for then a person has to decide.
    """
    grouped: dict[Key, list[Row]] = {}
    rows: Mapping[str, Row] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    for name, row in rows.items():
        if _NOT_A_DEPLOYMENT.match(name) or not row.get("mode"):
            continue
        vendor = row["litellm_provider"]
        grouped.setdefault((ours_of_primary(vendor), without_prefix(vendor, name)), []).append(row)
    return {key: _entry(key, _merged(key, found), package) for key, found in grouped.items()}


def _merged(key: Key, rows: list[Row]) -> Row:
    merged: dict[str, Any] = {}
    for row in rows:
        for field, value in row.items():
            stated = merged.get(field)
            if "cost" in field and stated and value and stated != value:
                raise ValueError(f"{key}: two rows state {field} as {stated} and {value}")
            if not stated:
                merged[field] = value
    return merged


def _entry(key: Key, row: Row, package: str) -> Entry:
    mode: str = row["mode"]
    rates = _rates(row)
    price = _price(key, row)
    if mode in _TALKS and any(name in rates for name in _PER_REQUEST):
        price = None  # tokens are only a part of what such a request costs: a sum without its fee is too low
    held, denied = _claims(row)
    capabilities = frozenset(cast(Iterable[Capability], held & set(get_args(Capability))))
    retires = row.get("deprecation_date")
    return Entry(
        price=price,
        context_window=_count(row.get("max_input_tokens")),
        max_output=_count(row.get("max_output_tokens")),
        capabilities=capabilities,
        mode=_MODES.get(mode, mode),
        retires=date.fromisoformat(retires) if retires else None,
        source=package,
        features=frozenset(held - capabilities),
        lacks=frozenset(denied - held),
        rates=rates,
    )


def _price(key: Key, row: Row) -> Price | None:
    base, long = dict(row), dict[int, dict[str, Any]]()
    for field, value in row.items():
        if found := _TIER.search(field):
            long.setdefault(int(found[1]) * 1000, {})[field[: found.start()]] = value
    for step in row.get("tiered_pricing", ()):
        if "range" in step and step["range"][0] == 0:
            base = {**step, **base}
        elif "range" in step:
            long.setdefault(int(step["range"][0]), {}).update(step)

    figures = _figures(base)
    price = priced(figures)
    if price is None:
        free = key[0] in LOCAL and not key[1].endswith("-cloud") and row.get("input_cost_per_token") == 0
        return Price(input=Decimal(0), output=Decimal(0)) if free else None
    tiers: list[Tier] = []
    for above in sorted(long):
        raised = _figures(long[above])
        if priced(raised) is not None and (tier := priced(_raised(raised, figures))) is not None:
            tiers.append(Tier(above, tier))
    return msgspec.structs.replace(price, tiers=tuple(tiers))


def _figures(row: Row) -> dict[str, Decimal | None]:
    figures = {name: per_million(row.get(field)) for name, field in _TOKENS.items()}
    reasoning, output = per_million(row.get("output_cost_per_reasoning_token")), figures["output"]
    if reasoning is not None and output is not None:
        # One price has to do for both kinds of output. The dearer never undercharges; the cheaper stands in the rates.
        figures["output"] = max(output, reasoning)
    return figures


def _raised(tier: dict[str, Decimal | None], base: dict[str, Decimal | None]) -> dict[str, Decimal | None]:
    """A tier's figures: what it does not state is as in the base, but for the price of cached input.

    The base's cached price is that of shorter inputs; left open, it falls back to the tier's own input price.
    """
    return {name: base[name] if figure is None and name != "cached_input" else figure for name, figure in tier.items()}


def _rates(row: Row) -> dict[str, Decimal]:
    rates = {name: figure for name, field in _RATES.items() if (figure := per_million(row.get(field))) is not None}
    for field, value in row.items():
        if field.startswith("output_cost_per_second_") and (figure := per_million(value)) is not None:
            rates[f"second_output_{field.removeprefix('output_cost_per_second_')}"] = figure
    searches = row.get("search_context_cost_per_query") or {}
    for field, value in searches.items():
        if (figure := per_million(value)) is not None:
            rates[f"search_{field.removeprefix('search_context_size_')}"] = figure
    if row["litellm_provider"] == "perplexity" and row["mode"] in _TALKS and "search_low" in rates:
        rates["request"] = rates["search_low"]  # this vendor searches for every answer, asked to or not
    return dict(sorted(rates.items()))


def _claims(row: Row) -> tuple[set[str], set[str]]:
    held = {word for field, word in _CLAIMS.items() if row.get(field) is True}
    denied = {word for field, word in _CLAIMS.items() if row.get(field) is False}
    held |= {_INPUTS[kind] for kind in row.get("supported_modalities", ()) if kind in _INPUTS}
    held |= {_OUTPUTS[kind] for kind in row.get("supported_output_modalities", ()) if kind in _OUTPUTS}
    if row["mode"] in _TALKS and "streaming" not in denied:
        held.add("streaming")  # the source notes streaming only where it is odd; a chat interface streams
    return held, denied


def _count(tokens: object) -> int | None:
    return int(tokens) if isinstance(tokens, Decimal) and tokens > 0 else None
