"""JSON Schemas within the limits that structured answers and strict tools have at Anthropic and at Bedrock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["closed"]

_BEYOND = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
"""Bounds that are not enforced there and refused; they are told to the model in words instead."""
_NAMED = ("properties", "$defs", "definitions", "patternProperties")
_LISTED = ("anyOf", "allOf", "prefixItems")
_DEEPEST = 64


def closed(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same schema with every object closed and without refused bounds; None where it needs open objects.

    Whatever follows the closed schema follows the given one too, up to the bounds.
    """
    try:
        return _closed(schema, 0)
    except _OpenError:
        return None


class _OpenError(Exception):
    """There is an object whose keys nobody names."""


def _closed(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise _OpenError
    written = {key: value for key, value in schema.items() if key not in _BEYOND}
    bounds = [f"{key}: {schema[key]}" for key in _BEYOND if key in schema]
    least = written.get("minItems")
    if isinstance(least, int) and least > 1:
        bounds.append(f"minItems: {least}")
        del written["minItems"]
    if bounds:
        said = written.get("description")
        written["description"] = " ".join([*([said] if isinstance(said, str) else []), f"({', '.join(bounds)})"])
    if "oneOf" in written and "anyOf" not in written:
        written["anyOf"] = written.pop("oneOf")
    if _is_object(schema):
        if not isinstance(schema.get("properties"), Mapping) or isinstance(schema.get("additionalProperties"), Mapping):
            raise _OpenError
        written["additionalProperties"] = False
    for key in _NAMED:
        if isinstance(written.get(key), Mapping):
            written[key] = {name: _within(each, depth) for name, each in written[key].items()}
    for key in _LISTED:
        if isinstance(written.get(key), list):
            written[key] = [_within(each, depth) for each in written[key]]
    if "items" in written:
        written["items"] = _within(written["items"], depth)
    return written


def _within(schema: Any, depth: int) -> Any:
    return _closed(schema, depth + 1) if isinstance(schema, Mapping) else schema


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)
