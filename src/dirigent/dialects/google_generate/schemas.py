"""JSON Schemas within what Google understands of them, and Google's own older schemas as JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["as_json_schema", "understood"]

_TOLD: Final = ("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems", "minProperties", "maxProperties")
"""Bounds that Google has no words for; they are told to the model instead."""
_LEFT_OUT: Final = frozenset((
    *("$schema", "$comment", "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType"),
    *("unevaluatedItems", "unevaluatedProperties", "patternProperties", "propertyNames", "dependentRequired"),
    *("dependentSchemas", "contains", "minContains", "maxContains", "if", "then", "else", "not"),
))  # fmt: skip
_NAMED: Final = ("properties", "$defs")
_LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_COUNTS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_DEEPEST: Final = 64
_SNAKE: Final = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
}


def understood(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The same schema without the words that Google refuses; whatever follows the given one follows it too."""
    if depth > _DEEPEST:
        return {}
    written = {key: value for key, value in schema.items() if key not in _LEFT_OUT and key not in _TOLD}
    bounds = [f"{key}: {schema[key]}" for key in _TOLD if key in schema]
    if bounds:
        said = written.get("description")
        written["description"] = " ".join([*([said] if isinstance(said, str) else []), f"({', '.join(bounds)})"])
    if "const" in written and "enum" not in written:
        written["enum"] = [written.pop("const")]
    if isinstance(written.get("definitions"), Mapping) and "$defs" not in written:
        written["$defs"] = written.pop("definitions")
    reference = written.get("$ref")
    if isinstance(reference, str):
        written["$ref"] = reference.replace("#/definitions/", "#/$defs/")
    return _throughout(written, depth)


def _throughout(written: dict[str, Any], depth: int) -> dict[str, Any]:
    for key in _NAMED:
        if isinstance(written.get(key), Mapping):
            written[key] = {name: _within(each, depth) for name, each in written[key].items()}
    for key in _LISTED:
        if isinstance(written.get(key), list):
            written[key] = [_within(each, depth) for each in written[key]]
    for key in ("items", "additionalProperties"):
        if key in written:
            written[key] = _within(written[key], depth)
    return written


def _within(schema: Any, depth: int) -> Any:
    return understood(schema, depth + 1) if isinstance(schema, Mapping) else schema


def as_json_schema(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A schema in Google's older words (types in capitals, `nullable`, counts as texts) as the JSON Schema it means."""
    if depth > _DEEPEST:
        return {}
    read: dict[str, Any] = {_SNAKE.get(key, key): value for key, value in schema.items()}
    read.pop("propertyOrdering", None)
    kind = read.get("type")
    if isinstance(kind, str):
        read["type"] = kind.lower()
        if kind == "TYPE_UNSPECIFIED":
            del read["type"]
    if read.pop("nullable", False) and "type" in read:
        read["type"] = _with_null(read["type"])
    if read.get("format") == "enum":
        del read["format"]
    for key in _COUNTS:
        if isinstance(read.get(key), str) and read[key].isdecimal():
            read[key] = int(read[key])
    for key in ("properties", "$defs"):
        if isinstance(read.get(key), Mapping):
            read[key] = {name: _read_within(each, depth) for name, each in read[key].items()}
    if isinstance(read.get("anyOf"), list):
        read["anyOf"] = [_read_within(each, depth) for each in read["anyOf"]]
    if "items" in read:
        read["items"] = _read_within(read["items"], depth)
    return read


def _with_null(kind: str | Sequence[str]) -> list[str]:
    return [kind, "null"] if isinstance(kind, str) else [*kind, "null"]


def _read_within(schema: Any, depth: int) -> Any:
    return as_json_schema(schema, depth + 1) if isinstance(schema, Mapping) else schema
